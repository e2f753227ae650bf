// A language model as a text encoder: the decoder of Qwen3 (Yang et al. 2025, arXiv:2505.09388), token ids to the hidden
// states after one of its layers.
#pragma once

#include <string>
#include <vector>

#include "network/component.h"
#include "weights/weight_binder.h"

namespace diffusion {

struct LanguageModelConfig {
    int64_t vocabulary = 0;
    int64_t width = 0;
    int64_t layers = 0; // in the files
    int64_t head_size = 0;
    int64_t heads = 0, key_heads = 0; // of queries, and of keys and values
    int64_t intermediate = 0;         // width of the hidden layer in an MLP
};

class LanguageModel : public Component {
public:
    // Sizes from tensor shapes. Throws Error (model_unsupported) unless they are those of a Qwen3.
    static LanguageModelConfig read_config(const WeightBinder & weights);

    // `unused`: last layers that are not computed; the files need not have them all.
    LanguageModel(WeightBinder & weights, const LanguageModelConfig & config, int64_t unused);

    // tokens [texts, tokens], all of one length -> hidden [texts, tokens, width], without the final norm. Tokens see
    // those before them.
    Signature signature() const override;
    Arrays derived(const Arrays & inputs) const override;
    std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const override;
    Config config() const override;
    void describe(const std::string & name, ModelFacts & facts) const override;

private:
    struct Layer {
        Norm norm1, norm2;
        Linear q, k, v, out;
        Tensor q_norm = nullptr, k_norm = nullptr; // [head size]
        Linear gate, up, down;
    };

    Layer bind_layer(WeightBinder & weights, const std::string & prefix) const;
    Tensor layer(Layers & layers, const Layer & layer, Tensor x, const Rotation & rotation) const;

    LanguageModelConfig config_;
    Tensor embedding_ = nullptr; // [width, vocabulary]
    std::vector<Layer> layers_;
};

} // namespace diffusion
