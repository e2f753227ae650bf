// The CLIP text transformer (Radford et al. 2021): token ids to hidden states.
#pragma once

#include <vector>

#include "graph/blocks.h"
#include "graph/weights.h"

namespace diffusion {

struct ClipTextConfig {
    int64_t vocabulary = 0;
    int64_t positions = 0;
    int64_t width = 0;
    int64_t layers = 0;
    int64_t intermediate = 0; // width of the hidden layer in an MLP
    int64_t heads = 0;        // of 64 channels each, as in all published CLIP text encoders
};

class ClipText {
public:
    // Sizes from shapes; a tensor that is missing gives a size of 0. Throws Error (model_unsupported) for sizes that no
    // text encoder has.
    static ClipTextConfig read_config(const WeightBinder & weights);

    ClipText(WeightBinder & weights, const ClipTextConfig & config);

    const ClipTextConfig & config() const { return config_; }

    // tokens: i32 [positions, chunks]. Hidden states of the layer `clip_skip - 1` before the last, after the final layer
    // norm: [width, positions, chunks].
    Tensor build(Graph & graph, Tensor tokens, int64_t clip_skip) const;

private:
    struct Layer {
        Norm norm1, norm2;
        Linear q, k, v, out;
        Linear fc1, fc2;
    };

    Tensor layer(Graph & graph, const Layer & layer, Tensor x) const;

    ClipTextConfig config_;
    Tensor token_embedding_ = nullptr;    // [width, vocabulary]
    Tensor position_embedding_ = nullptr; // [width, positions]
    std::vector<Layer> layers_;
    Norm final_norm_;
};

} // namespace diffusion
