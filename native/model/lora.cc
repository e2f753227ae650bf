// See lora.h.
#include "model/lora.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "backend/memory.h"
#include "io/file_error.h"
#include "io/mapped_file.h"
#include "io/read_numbers.h"
#include "model/adapter.h"
#include "model/lora_metadata.h"
#include "model/lora_names.h"
#include "model/requirements.h"

namespace diffusion {

namespace {

using Binding = WeightBinder::Binding;
using Deltas = std::map<const Binding *, std::vector<std::unique_ptr<RowDelta>>>;

// [rows, columns]: the slowest dimension and all others.
Matrix read_matrix(const StoredTensor & tensor, const std::string & path) {
    if (!has_numbers(tensor) && !is_scalar(tensor)) {
        throw unsupported_file(path, "the tensor " + quote(tensor.name) + " is empty or of the type " +
                                         std::string(tensor.type->name) + ", expected floating-point numbers");
    }
    Matrix matrix;
    matrix.rows = tensor.n_dims > 0 ? tensor.ne[std::min(tensor.n_dims, GGML_MAX_DIMS) - 1] : 1;
    matrix.columns = tensor.n_elements() / matrix.rows;
    matrix.values = read_all_numbers(tensor);
    return matrix;
}

int64_t taps_of(const StoredTensor & core) {
    return core.ne[0] * core.ne[1];
}

// The tensors of one adapter.
class Parts {
public:
    Parts(const std::string & path, std::string layer) : path_(path), layer_(std::move(layer)) {}

    void add(LoraPart part, const StoredTensor & tensor) { tensors_[part] = &tensor; }
    bool has(LoraPart part) const { return tensors_.count(part) > 0; }
    int64_t count() const { return static_cast<int64_t>(tensors_.size()); }
    int64_t numbers() const {
        int64_t sum = 0;
        for (const auto & [part, tensor] : tensors_) sum += tensor->n_elements();
        return sum;
    }

    // What the adapter adds to a weight of that size, times `weight`.
    std::unique_ptr<RowDelta> delta(int64_t rows, int64_t columns, double weight, const PeftConfig & peft) const {
        if (has(LoraPart::magnitude)) {
            throw unsupported_file(path_, "is a DoRA (the layer " + quote(layer_) +
                                              " has a magnitude), which this version does not apply");
        }
        if (has(LoraPart::up) || has(LoraPart::down)) return lora(rows, columns, weight, peft);
        if (has(LoraPart::hada_w1_a)) return hadamard(rows, columns, weight);
        return kronecker(rows, columns, weight);
    }

private:
    const StoredTensor & tensor(LoraPart part) const {
        const auto found = tensors_.find(part);
        if (found == tensors_.end()) {
            throw incomplete_file(path_, "a tensor of the adapter of " + quote(layer_) + " is missing");
        }
        return *found->second;
    }

    Matrix matrix(LoraPart part) const { return read_matrix(tensor(part), path_); }

    // alpha / rank, or 1 where there is no alpha.
    float scale(double weight, int64_t rank) const {
        if (has(LoraPart::alpha)) weight *= matrix(LoraPart::alpha).values.front() / static_cast<double>(rank);
        return static_cast<float>(weight);
    }

    void require_shape(int64_t have_rows, int64_t have_columns, int64_t rows, int64_t columns) const {
        if (have_rows == rows && have_columns == columns) return;
        const auto shape = [](int64_t r, int64_t c) {
            return "[" + std::to_string(r) + ", " + std::to_string(c) + "]";
        };
        throw Error(ErrorCode::model_mismatch, quote(path_) + ": expected an adapter of shape " + shape(rows, columns) +
                                                   " for the layer " + quote(layer_) + ", found " +
                                                   shape(have_rows, have_columns) +
                                                   ". It was made for a model of another family.");
    }

    void require_sound(const LowRank & product) const {
        if (!product.sound()) throw corrupt_file(path_, "the ranks of the adapter of " + quote(layer_) + " differ");
    }

    std::unique_ptr<RowDelta> lora(int64_t rows, int64_t columns, double weight, const PeftConfig & peft) const {
        LowRank p{matrix(LoraPart::up), matrix(LoraPart::down), {}};
        const int64_t rank = p.b.rows;
        if (has(LoraPart::mid)) {
            p.core = matrix(LoraPart::mid);
            p.taps = taps_of(tensor(LoraPart::mid));
        }
        require_sound(p);
        require_shape(p.rows(), p.columns(), rows, columns);
        if (!has(LoraPart::alpha) && peft.alpha > 0) {
            weight *= peft.alpha / (peft.rank_stabilized ? std::sqrt(rank) : static_cast<double>(rank));
        }
        return lora_delta(std::move(p), scale(weight, rank));
    }

    // A factor of LoHa or LoKr; its Tucker form has the rank first in both matrices.
    LowRank factor(LoraPart a, LoraPart b, std::optional<LoraPart> core) const {
        LowRank p{matrix(a), matrix(b), {}};
        if (core && has(*core)) {
            p.a = p.a.transposed();
            p.core = matrix(*core);
            p.taps = taps_of(tensor(*core));
        }
        require_sound(p);
        return p;
    }

    std::unique_ptr<RowDelta> hadamard(int64_t rows, int64_t columns, double weight) const {
        LowRank p = factor(LoraPart::hada_w1_a, LoraPart::hada_w1_b, LoraPart::hada_t1);
        LowRank q = factor(LoraPart::hada_w2_a, LoraPart::hada_w2_b, LoraPart::hada_t2);
        for (const LowRank & one : {std::cref(p), std::cref(q)}) {
            require_shape(one.rows(), one.columns(), rows, columns);
        }
        const float s = scale(weight, p.b.rows);
        return hadamard_delta(std::move(p), std::move(q), s);
    }

    // A factor of LoKr, whole or as a product; `rank` is set where it is one.
    Matrix kronecker_factor(LoraPart whole, LoraPart a, LoraPart b, std::optional<LoraPart> core, int64_t rows,
                            int64_t columns, std::optional<int64_t> & rank) const {
        if (has(whole)) return matrix(whole);
        const LowRank p = factor(a, b, core);
        rank = p.b.rows;
        // It is to be multiplied out, so it may not be larger than what it is for.
        if (p.rows() > rows || p.columns() > columns) require_shape(p.rows(), p.columns(), rows, columns);
        return p.multiplied();
    }

    std::unique_ptr<RowDelta> kronecker(int64_t rows, int64_t columns, double weight) const {
        std::optional<int64_t> rank;
        Matrix a = kronecker_factor(LoraPart::lokr_w1, LoraPart::lokr_w1_a, LoraPart::lokr_w1_b, std::nullopt, rows,
                                    columns, rank);
        Matrix b = kronecker_factor(LoraPart::lokr_w2, LoraPart::lokr_w2_a, LoraPart::lokr_w2_b, LoraPart::lokr_t2,
                                    rows, columns, rank);
        require_shape(a.rows * b.rows, a.columns * b.columns, rows, columns);
        // Where both are whole, alpha has no meaning.
        return kronecker_delta(std::move(a), std::move(b), rank ? scale(weight, *rank) : static_cast<float>(weight));
    }

    const std::string & path_;
    std::string layer_;
    std::map<LoraPart, const StoredTensor *> tensors_;
};

std::map<std::string, Parts> group(const TensorTable & table, const std::string & path) {
    std::map<std::string, Parts> adapters;
    for (const StoredTensor & tensor : table.tensors()) {
        auto key = split_lora_key(tensor.name);
        if (!key) continue;
        auto & parts = adapters.try_emplace(key->layer, path, key->layer).first->second;
        parts.add(key->part, tensor);
    }
    if (adapters.empty()) {
        throw unsupported_file(path, "expected a LoRA, but " + contents(table));
    }
    return adapters;
}

// Ranks are whatever a file says, so that its numbers have no other bound than its size.
void require_memory_for(const std::map<std::string, Parts> & adapters, const LoraTargets & targets, ggml_backend_t host,
                        const std::string & path) {
    int64_t numbers = 0;
    for (const auto & [layer, parts] : adapters) numbers += targets.find(layer) ? parts.numbers() : 0;
    require_memory(static_cast<size_t>(numbers) * sizeof(float), host, "the LoRA " + quote(path));
}

LoraReport read_lora(const LoraFile & file, const LoraTargets & targets, Deltas & deltas, ggml_backend_t host,
                     const Cancellation & cancellation) {
    const TensorTable table = TensorTable::open(file.path, cancellation);
    const auto adapters = group(table, file.path);
    require_memory_for(adapters, targets, host, file.path);
    const auto peft = read_peft_metadata(table.files().front());
    LoraReport report{file.path, file.weight, 0, static_cast<int64_t>(table.tensors().size())};
    for (const auto & [layer, parts] : adapters) {
        cancellation.throw_if_cancelled();
        const Binding * target = targets.find(layer);
        if (!target) continue;
        const int64_t rows = weight_rows(target->tensor), columns = ggml_nelements(target->tensor) / rows;
        const auto config = peft.find(layer.substr(0, layer.find('.')));
        deltas[target].push_back(
            parts.delta(rows, columns, file.weight, config == peft.end() ? PeftConfig() : config->second));
        report.applied += parts.count();
    }
    table.check_unchanged();
    if (report.applied > 0) return report;
    throw Error(ErrorCode::model_mismatch,
                quote(file.path) + ": expected a LoRA for this model, found adapters of " +
                    std::to_string(adapters.size()) + " layers that it does not have, such as " +
                    quote(adapters.begin()->first) + ". Use one that was made for a model of this family.");
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
