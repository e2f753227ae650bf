// See lora_targets.h.
#include "lora/lora_targets.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <vector>

#include "names/diffusers_names.h"
#include "names/name_parts.h"
#include "names/names.h"
#include "names/z_image_names.h"

namespace diffusion {

namespace {

std::string flat(std::string name) {
    std::replace(name.begin(), name.end(), '.', '_');
    return name;
}

// Blocks of one half of a UNet in the original numbering.
struct Blocks {
    std::map<int, std::set<std::string>> layers; // of each block: "0.in_layers.2"

    void note(std::string_view name, std::string_view half) {
        if (!take(name, half)) return;
        const size_t dot = name.find('.');
        if (dot == 0 || dot > 2) return;
        const std::string number(name.substr(0, dot));
        if (number.find_first_not_of("0123456789") == std::string::npos) {
            layers[std::stoi(number)].emplace(name.substr(dot + 1));
        }
    }
    static bool attends(const std::set<std::string> & block) {
        return std::any_of(block.begin(), block.end(), [](const auto & l) { return l.starts_with("1.transformer_"); });
    }
};

constexpr std::array<std::string_view, 6> resnet_layers = {"norm1", "conv1",         "norm2",
                                                           "conv2", "time_emb_proj", "conv_shortcut"};
constexpr std::array<std::string_view, 8> other_layers = {
    "conv_in",
    "conv_norm_out",
    "conv_out",
    "time_embedding.linear_1",
    "time_embedding.linear_2",
    "time_embedding.cond_proj",
    "add_embedding.linear_1",
    "add_embedding.linear_2",
};

// diffusers' names of a UNet's layers, each with the original name. The name table maps diffusers' names to the
// original ones, so this describes the blocks to it, generates every name that diffusers could use, and keeps those
// with a mapping.
class DiffusersLayers {
public:
    explicit DiffusersLayers(const std::set<std::string> & originals) : originals_(originals) {
        Blocks inputs, outputs;
        for (const std::string & name : originals) {
            inputs.note(name, "input_blocks.");
            outputs.note(name, "output_blocks.");
            std::string_view middle = name;
            if (take(middle, "middle_block.1.")) attention_layers_.emplace(middle);
        }
        inputs.layers.erase(0);
        note_half(inputs, "down_blocks.", "downsamplers", {"0.op"});
        note_half(outputs, "up_blocks.", "upsamplers", {"1.conv", "2.conv"});
        for (const auto layer : other_layers) add(std::string(layer));
        for (const int i : {0, 1}) add_block("mid_block.", i);
        for (const auto & [level, index] : blocks_) add_block(level, index);
        for (const std::string & name : resamplers_) add(name);
    }

    const std::vector<std::pair<std::string, std::string>> & names() const { return names_; }

private:
    void note_half(const Blocks & half, const std::string & side, const std::string & resampler,
                   const std::set<std::string> & resampling) {
        int level = 0, resnets = 0;
        for (const auto & block : half.layers) {
            const std::set<std::string> & layers = block.second;
            const std::string name = side + std::to_string(level) + ".", i = std::to_string(resnets) + ".";
            const bool resamples = std::any_of(resampling.begin(), resampling.end(),
                                               [&](const std::string & layer) { return layers.count(layer) > 0; });
            if (layers.count("0.in_layers.2")) {
                table_.note(name + "resnets." + i + "x");
                blocks_.emplace_back(name, resnets++);
            }
            if (Blocks::attends(layers)) {
                table_.note(name + "attentions." + i + "x");
                for (const std::string & layer : layers) {
                    if (layer.starts_with("1.")) attention_layers_.insert(layer.substr(2));
                }
            }
            if (!resamples) continue;
            table_.note(name + resampler + ".0.x");
            resamplers_.push_back(name + resampler + ".0.conv");
            level++;
            resnets = 0;
        }
    }

    void add_block(const std::string & level, int index) {
        const std::string i = std::to_string(index) + ".";
        for (const auto layer : resnet_layers) add(level + "resnets." + i + std::string(layer));
        for (const auto & layer : attention_layers_) add(level + "attentions." + i + layer);
    }

    void add(const std::string & name) {
        const auto original = table_.convert(name + ".");
        if (!original || original->empty()) return;
        const std::string layer = original->substr(0, original->size() - 1);
        if (originals_.count(layer)) names_.emplace_back(name, layer);
    }

    const std::set<std::string> & originals_;
    DiffusersUnet table_;
    std::set<std::string> attention_layers_;
    std::vector<std::pair<std::string, int>> blocks_; // prefix of the level, residual block
    std::vector<std::string> resamplers_;
    std::vector<std::pair<std::string, std::string>> names_;
};

} // namespace

// A text encoder: the prefix of its canonical names, and what files put before the names of its layers, with
// underscores instead of dots and unchanged.
struct LoraTargets::TextNames {
    std::string_view canonical;
    std::vector<std::string_view> flat, dotted;
};

const std::array<LoraTargets::TextNames, 2> LoraTargets::text_names = {{
    {text_prefix,
     {"lora_te_", "lora_te1_", "lycoris_"},
     {"text_encoder.", "text_encoders.clip_l.transformer.", "clip_l.transformer.", "text_encoders.clip_h.transformer.",
      "clip_h.transformer.", ""}},
    {text_2_prefix, {"lora_te2_"}, {"text_encoder_2.", "text_encoders.clip_g.transformer.", "clip_g.transformer."}},
}};

LoraTargets::LoraTargets(const WeightBinder & weights) {
    for (const auto & binding : weights.bindings()) {
        std::string_view name = binding.stored->name;
        if (binding.transform) continue;
        if (name.ends_with(".weight")) {
            name.remove_suffix(7);
            layers_[std::string(name)].weight = &binding;
        } else if (name.ends_with(".bias")) {
            name.remove_suffix(5);
            layers_[std::string(name)].bias = &binding;
        } else if (name.ends_with(".text_projection")) { // of OpenCLIP
            layers_[std::string(name)] = {&binding, nullptr, true, true};
        }
    }
    for (const auto & [name, layer] : layers_) targets_.emplace(name, &layer);
    const auto first = layers_.lower_bound(text_prefix);
    const bool second_alone = first == layers_.end() || !first->first.starts_with(text_prefix);
    for (const TextNames & names : text_names) {
        add_text(names, names.canonical);
        if (second_alone) add_text(names, text_2_prefix);
    }
    add_unet();
    add_transformer();
}

void LoraTargets::add_text(const TextNames & names, std::string_view canonical) {
    // The text model, and its projection.
    constexpr std::string_view root = "text_model.";
    const std::string_view outer = canonical.substr(0, canonical.size() - root.size());
    for (auto & [name, layer] : layers_) {
        std::string_view full = name;
        if (!take(full, outer) || (!full.starts_with(root) && full != "text_projection")) continue;
        layer.text = true;
        for (const auto prefix : names.flat) targets_.emplace(std::string(prefix) + flat(std::string(full)), &layer);
        for (const auto prefix : names.dotted) {
            targets_.emplace(std::string(prefix) + std::string(full), &layer);
            if (std::string_view own = full; take(own, root)) {
                targets_.emplace(std::string(prefix) + std::string(own), &layer);
            }
        }
    }
}

void LoraTargets::add_unet() {
    std::set<std::string> originals;
    for (const auto & [name, layer] : layers_) {
        if (std::string_view local = name; take(local, unet_prefix)) originals.emplace(local);
    }
    const auto add = [&](const std::string & name, const std::string & original) {
        const LoraLayer & layer = layers_.at(unet_prefix + original);
        for (const char * prefix : {"lora_unet_", "lycoris_"}) targets_.emplace(prefix + flat(name), &layer);
        for (const char * prefix : {"unet.", "diffusion_model.", ""}) targets_.emplace(prefix + name, &layer);
    };
    for (const std::string & name : originals) add(name, name);
    const DiffusersLayers diffusers(originals);
    for (const auto & [name, original] : diffusers.names()) add(name, original);
}

// Of Z-Image. Joint queries, keys and values are three layers here.
void LoraTargets::add_transformer() {
    if (!layers_.contains(std::string(unet_prefix) + "cap_embedder.1")) return;
    const auto add = [&](const std::string & name, const LoraLayer & layer) {
        for (const char * prefix : {"lora_unet_", "lora_transformer_", "lycoris_"}) {
            targets_.emplace(prefix + flat(name), &layer);
        }
        for (const char * prefix : {"transformer.", "diffusion_model.", ""}) targets_.emplace(prefix + name, &layer);
    };
    for (const auto & [name, layer] : layers_) {
        std::string_view local = name;
        if (!take(local, unet_prefix)) continue;
        for (const std::string & one : z_image_spellings(local)) add(one, layer);
        constexpr std::string_view query = ".attention.to_q";
        if (!local.ends_with(query)) continue;
        const std::string block = name.substr(0, name.size() - query.size());
        LoraLayer joint;
        for (const char * part : {".attention.to_q", ".attention.to_k", ".attention.to_v"}) {
            const auto found = layers_.find(block + part);
            if (found != layers_.end()) joint.joined.push_back(found->second.weight);
        }
        const std::string own = std::string(local.substr(0, local.size() - query.size())) + ".attention.qkv";
        if (joint.joined.size() == 3) add(own, joined_[own] = std::move(joint));
    }
}

int64_t LoraLayer::rows() const {
    if (joined.empty()) return weight_rows(weight->tensor);
    int64_t rows = 0;
    for (const auto * part : joined) rows += weight_rows(part->tensor);
    return rows;
}

int64_t LoraLayer::columns() const {
    const Tensor tensor = (joined.empty() ? weight : joined.front())->tensor;
    return ggml_nelements(tensor) / weight_rows(tensor);
}

const LoraLayer * LoraTargets::find(const std::string & layer) const {
    const auto found = targets_.find(layer);
    return found == targets_.end() ? nullptr : found->second;
}

} // namespace diffusion
