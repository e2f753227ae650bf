// The CLIP text transformer (Radford et al. 2021): token ids to hidden states.
#pragma once

#include <string>
#include <vector>

#include "graph/layers.h"
#include "network/component.h"
#include "weights/weight_binder.h"

namespace diffusion {

struct ClipTextConfig {
    int64_t vocabulary = 0;
    int64_t positions = 0;
    int64_t width = 0;
    int64_t layers = 0;
    int64_t intermediate = 0; // width of the hidden layer in an MLP
    int64_t heads = 0;        // of 64 channels each, as in all published CLIP text encoders
    bool open_clip = false;   // OpenCLIP (Cherti et al. 2022): exact GELU, prompts padded with token 0
    int64_t clip_skip = 1;    // default: that of the hidden states the UNet was trained with
    bool last_norm = true;    // the hidden states pass the final layer norm
    int64_t projection = 0;   // width of the pooled output, or 0 if there is none
};

// How a model uses a text encoder.
struct ClipTextUse {
    std::string prefix{}; // of its tensor names
    bool open_clip = false;
    bool xl = false;     // in SDXL: penultimate layer without the final layer norm
    bool pooled = false; // has a pooled output
};

class ClipText : public Component {
public:
    // Sizes from tensor shapes; 0 for a missing tensor. Throws Error (model_unsupported) for unsupported sizes.
    static ClipTextConfig read_config(const WeightBinder & weights, const ClipTextUse & use);

    ClipText(WeightBinder & weights, const ClipTextUse & use);

    // tokens [chunks, positions]; ids from the vocabulary's size on index `vectors` [vectors, width].
    // -> hidden [chunks, positions, width] of the layer `clipSkip - 1` before the last; with a projection also pooled
    // [chunks, projection], from the last layer at each chunk's first end token.
    Signature signature() const override;
    Arrays derived(const Arrays & inputs) const override;
    std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const override;
    Config config() const override;
    void describe(const std::string & name, ModelFacts & facts) const override;

private:
    struct Layer {
        Norm norm1, norm2;
        Linear q, k, v, out;
        Linear fc1, fc2;
    };

    Tensor layer(Layers & layers, const Layer & layer, Tensor x) const;
    Tensor pool(Layers & layers, Tensor x, Tensor ends) const;

    ClipTextConfig config_;
    Tensor token_embedding_ = nullptr;    // [width, vocabulary]
    Tensor position_embedding_ = nullptr; // [width, positions]
    std::vector<Layer> layers_;
    Norm final_norm_;
    Tensor projection_ = nullptr;            // [width, projection], as in transformers; or
    Tensor transposed_projection_ = nullptr; // [projection, width], as in OpenCLIP
};

} // namespace diffusion
