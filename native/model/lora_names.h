// How LoRA files spell what they change: the name of a layer, in the manner of one of several tools, and which part of its
// adapter a tensor is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "graph/weights.h"

namespace diffusion {

enum class LoraPart {
    alpha,
    up,
    down,
    mid,
    hada_w1_a,
    hada_w1_b,
    hada_w2_a,
    hada_w2_b,
    hada_t1,
    hada_t2,
    lokr_w1,
    lokr_w1_a,
    lokr_w1_b,
    lokr_w2,
    lokr_w2_a,
    lokr_w2_b,
    lokr_t2,
    magnitude, // of DoRA
};

struct LoraKey {
    std::string layer; // as the file spells it
    LoraPart part;
};

// Nothing where the name is not one of an adapter's tensors.
std::optional<LoraKey> split_lora_key(std::string_view name);

// The matrices and kernels of a model by every spelling of their layers: those of kohya-ss (`lora_unet_down_blocks_0_...`, also
// with the original names, `lora_te_...`, `lora_te1_...`, `lora_te2_...`), of LyCORIS (`lycoris_...`), of diffusers and PEFT
// (`unet.down_blocks.0...`, `text_encoder...`), and the model's own.
class LoraTargets {
public:
    // `weights` must outlive the targets.
    explicit LoraTargets(const WeightBinder & weights);
    // nullptr where the model has no such layer.
    const WeightBinder::Binding * find(const std::string & layer) const;

private:
    void add_unet(const std::unordered_map<std::string, const WeightBinder::Binding *> & layers);

    std::unordered_map<std::string, const WeightBinder::Binding *> targets_;
};

} // namespace diffusion
