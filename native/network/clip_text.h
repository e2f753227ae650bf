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
    bool open_clip = false;   // one of OpenCLIP (Cherti et al. 2022): exact GELU, prompts padded with token 0
    int64_t clip_skip = 1;    // of the hidden states that its UNet was trained with
    bool last_norm = true;    // these pass the final layer norm
    int64_t projection = 0;   // width of the pooled output, or 0 where none is wanted
};

// What the use of a text encoder decides about it.
struct ClipTextUse {
    std::string prefix{}; // of its tensors
    bool open_clip = false;
    bool xl = false;     // in SDXL: penultimate layer without the final layer norm
    bool pooled = false; // its pooled output is wanted
};

class ClipText : public Component {
public:
    // Sizes from shapes; a tensor that is missing gives a size of 0. Throws Error (model_unsupported) for sizes that no
    // text encoder has.
    static ClipTextConfig read_config(const WeightBinder & weights, const ClipTextUse & use);

    ClipText(WeightBinder & weights, const ClipTextUse & use);

    // tokens [chunks, positions]; one beyond the vocabulary stands for one of `vectors` [vectors, width], in their order.
    // -> hidden [chunks, positions, width] of the layer `clipSkip - 1` before the last, and where there is a projection pooled
    // [chunks, projection], of the last layer at each chunk's first end token.
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
    Tensor projection_ = nullptr;            // [width, projection] of transformers
    Tensor transposed_projection_ = nullptr; // [projection, width] of OpenCLIP; one of both
};

} // namespace diffusion
