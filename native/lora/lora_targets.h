// The layers of a model, by all names that LoRA files use for them.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "weights/weight_binder.h"

namespace diffusion {

// The parts of a layer that can be changed; nullptr for what the model does not have.
struct LoraLayer {
    const WeightBinder::Binding * weight = nullptr;
    const WeightBinder::Binding * bias = nullptr;
    bool text = false;       // of a text encoder
    bool transposed = false; // the model's weight is the transpose of the one that adapters are made for
    // Instead of `weight`, for a layer that the model has in parts: their weights, of which it has the rows one after the
    // other.
    std::vector<const WeightBinder::Binding *> joined{};

    bool has_weight() const { return weight || !joined.empty(); }
    // Of the weight as adapters have it.
    int64_t rows() const;
    int64_t columns() const;
};

// For UNet, text encoders and VAE: matrices, kernels, norms, biases and embedding tables. Names are those of kohya-ss
// (`lora_unet_down_blocks_0_...`, also with the original names, `lora_te_...`, `lora_te1_...`, `lora_te2_...`), of
// LyCORIS (`lycoris_...`), of diffusers and PEFT (`unet.down_blocks.0...`, `text_encoder...`, or without the first
// part), of ComfyUI (`diffusion_model...`, `text_encoders.clip_l...`), and the model's own. Those of Z-Image are in the
// spelling of its published files or of diffusers (`transformer.layers.0...`, `lora_transformer_...`).
class LoraTargets {
public:
    // `weights` must outlive the targets.
    explicit LoraTargets(const WeightBinder & weights);
    LoraTargets(const LoraTargets &) = delete;
    LoraTargets & operator=(const LoraTargets &) = delete;
    // nullptr if the model has no such layer.
    const LoraLayer * find(const std::string & layer) const;

private:
    struct TextNames;
    static const std::array<TextNames, 2> text_names;
    void add_text(const TextNames & names, std::string_view canonical);
    void add_unet();
    void add_transformer();

    std::map<std::string, LoraLayer> layers_; // by the model's own name
    std::map<std::string, LoraLayer> joined_; // the same, of layers that the model has in parts
    std::unordered_map<std::string, const LoraLayer *> targets_;
};

} // namespace diffusion
