// See lora.h.
#include "lora/lora.h"

#include <algorithm>

#include "backend/memory.h"
#include "io/file_error.h"
#include "lora/lora_parts.h"
#include "lora/lora_targets.h"
#include "lora/peft_config.h"
#include "names/lora_keys.h"
#include "weights/requirements.h"

namespace diffusion {

namespace {

using Parts = std::vector<std::unique_ptr<RowDelta>>;
using Deltas = std::map<const WeightBinder::Binding *, Parts>;
using Adapters = std::map<std::string, LoraParts>; // by layer

// The tensors of a file that are not applied, by type.
class Leftovers {
public:
    void add(const StoredTensor & tensor) {
        const auto key = split_lora_key(tensor.name);
        counts_[std::string(key ? key->kind : other_tensor_kind(tensor.name))]++;
        if (first_.empty()) first_ = tensor.name;
        count_++;
    }

    std::string describe(const std::string & path) const {
        if (count_ == 0) return "";
        constexpr size_t most_kinds = 10;
        std::string kinds;
        size_t shown = 0;
        for (const auto & [kind, count] : counts_) {
            if (shown++ == most_kinds) break;
            kinds += (kinds.empty() ? "" : ", ") + printable(kind) + " (" + std::to_string(count) + ")";
        }
        if (counts_.size() > most_kinds)
            kinds += ", and " + std::to_string(counts_.size() - most_kinds) + " more kinds";
        return std::to_string(count_) + (count_ == 1 ? " tensor of " : " tensors of ") + quote(path) +
               (count_ == 1 ? " was" : " were") + " not applied: " + kinds + "; the first is " + quote(first_);
    }

private:
    // As quote() shows it, without the quotation marks.
    static std::string printable(const std::string & text) {
        const std::string quoted = quote(text);
        return quoted.substr(1, quoted.size() - 2);
    }

    std::map<std::string, int64_t> counts_;
    std::string first_;
    int64_t count_ = 0;
};

Adapters group(const TensorTable & table, const std::string & path, Leftovers & left) {
    Adapters adapters;
    for (const StoredTensor & tensor : table.tensors()) {
        if (const auto kind = refused_adapter(tensor.name, tensor.n_dims); !kind.empty()) {
            throw unsupported_file(path, "is a " + std::string(kind) + " (it has the tensor " + quote(tensor.name) +
                                             "), an adapter type that is not supported");
        }
        if (is_bundled_embedding(tensor.name)) continue;
        const auto key = split_lora_key(tensor.name);
        if (!key) {
            left.add(tensor);
            continue;
        }
        adapters.try_emplace(key->layer, path, key->layer).first->second.add(*key, tensor);
    }
    if (adapters.empty()) throw unsupported_file(path, "expected a LoRA, but " + contents(table));
    return adapters;
}

// A file chooses its ranks, so only its size bounds how many numbers it has.
void require_memory_for(const Adapters & adapters, const LoraTargets & targets, ggml_backend_t host,
                        const std::string & path) {
    int64_t numbers = 0;
    for (const auto & [layer, parts] : adapters) numbers += targets.find(layer) ? parts.numbers() : 0;
    require_memory(static_cast<size_t>(numbers) * sizeof(float), host, "the LoRA " + quote(path));
}

// PEFT's own files have no alpha, and without the configuration next to them their strength is unknown.
std::string unknown_strength(const TensorTable & table, const PeftConfigs & peft, const std::string & path) {
    const auto is_peft = [](const StoredTensor & tensor) { return tensor.name.starts_with("base_model.model."); };
    const auto is_alpha = [](const StoredTensor & tensor) { return tensor.name.ends_with(".alpha"); };
    const auto & tensors = table.tensors();
    if (peft.has_alpha() || std::ranges::none_of(tensors, is_peft) || std::ranges::any_of(tensors, is_alpha)) return "";
    return quote(path) +
           " is a PEFT adapter, whose strength is in adapter_config.json. This file is missing (it is only read for an "
           "adapter named adapter_model.*) or has no lora_alpha, so alpha is assumed to equal the rank";
}

void append(Parts && from, Parts & to) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// The changes to a layer that the model has in parts.
void append_rows(Parts && from, const LoraLayer & layer, Deltas & all) {
    for (auto & delta : from) {
        const std::shared_ptr<const RowDelta> whole = std::move(delta);
        int64_t first = 0;
        for (const auto * part : layer.joined) {
            all[part].push_back(rows_delta(whole, first));
            first += weight_rows(part->tensor);
        }
    }
}

LoraReport read_lora(const LoraFile & file, const LoraTargets & targets, Deltas & all, ggml_backend_t host,
                     const Cancellation & cancellation) {
    const TensorTable table = TensorTable::open(file.path, cancellation);
    Leftovers left;
    const Adapters adapters = group(table, file.path, left);
    require_memory_for(adapters, targets, host, file.path);
    const PeftConfigs peft = PeftConfigs::read(table.files().front());
    LoraReport report{file, 0, static_cast<int64_t>(table.tensors().size()), "", ""};
    for (const auto & [name, parts] : adapters) {
        cancellation.throw_if_cancelled();
        const LoraLayer * layer = targets.find(name);
        if (!layer) {
            parts.each([&](const StoredTensor & tensor) { left.add(tensor); });
            continue;
        }
        LoraParts::Deltas deltas = parts.deltas(*layer, layer->text ? file.text_weight : file.weight, peft);
        if (layer->weight && !deltas.weight.empty()) append(std::move(deltas.weight), all[layer->weight]);
        if (!layer->joined.empty()) append_rows(std::move(deltas.weight), *layer, all);
        if (!deltas.bias.empty()) append(std::move(deltas.bias), all[layer->bias]);
        for (const StoredTensor * tensor : deltas.left) left.add(*tensor);
        report.applied += parts.count() - static_cast<int64_t>(deltas.left.size());
    }
    table.check_unchanged();
    report.left = left.describe(file.path);
    report.unsure = unknown_strength(table, peft, file.path);
    if (report.applied > 0) return report;
    throw Error(ErrorCode::model_mismatch,
                quote(file.path) + ": expected a LoRA for this model, found adapters of " +
                    std::to_string(adapters.size()) + " layers that it does not have, such as " +
                    quote(adapters.begin()->first) + ". Use one made for a model of this family.");
}

} // namespace

Loras read_loras(const std::vector<LoraFile> & files, const WeightBinder & weights, ggml_backend_t host,
                 const Cancellation & cancellation) {
    Loras loras;
    if (files.empty()) return loras;
    const LoraTargets targets(weights);
    Deltas deltas;
    for (const LoraFile & file : files) loras.reports.push_back(read_lora(file, targets, deltas, host, cancellation));
    for (auto & [binding, parts] : deltas) {
        loras.deltas[binding] = parts.size() == 1 ? std::move(parts.front()) : sum_delta(std::move(parts));
    }
    return loras;
}

} // namespace diffusion
