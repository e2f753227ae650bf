// The denoiser of Z-Image (Z-Image Team 2025, arXiv:2511.22699): a transformer over the tokens of text and image alike.
#pragma once

#include <string>
#include <vector>

#include "network/component.h"
#include "weights/weight_binder.h"

namespace diffusion {

struct ZImageConfig {
    int64_t latent_channels = 0;
    int64_t width = 0;
    int64_t head_size = 0;
    int64_t layers = 0, noise_refiners = 0, context_refiners = 0;
    int64_t intermediate = 0;               // width of the hidden layer in an MLP
    int64_t context_size = 0;               // width of the text encoder's hidden states
    int64_t time_size = 0, time_hidden = 0; // of the timestep embedding, and of its hidden layer
};

class ZImage : public Component {
public:
    // Whether the tensors with the denoiser's prefix are of such a network, by their names.
    static bool is(const WeightBinder & weights);
    // Sizes from tensor shapes. Throws Error (model_unsupported) for unsupported sizes.
    static ZImageConfig read_config(const WeightBinder & weights);

    ZImage(WeightBinder & weights, const ZImageConfig & config);

    // latent [batch, channels, height, width] with even sides, timesteps [batch] from 0 to 1000 (noise), context [batch,
    // tokens, context size] -> prediction: noise minus image, of the latent's shape.
    Signature signature() const override;
    Arrays derived(const Arrays & inputs) const override;
    std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const override;
    Config config() const override;
    void describe(const std::string & name, ModelFacts & facts) const override;

private:
    struct Block {
        Norm attention_norm1, attention_norm2, ffn_norm1, ffn_norm2;
        Linear q, k, v, out;
        Tensor q_norm = nullptr, k_norm = nullptr; // [head size]
        Linear w1, w2, w3;
        Linear modulation; // no weight in the refiners of text
    };

    Block bind_block(WeightBinder & weights, const std::string & prefix, bool modulated) const;
    std::vector<Block> bind_blocks(WeightBinder & weights, const std::string & prefix, int64_t count,
                                   bool modulated) const;
    Tensor block(Layers & layers, const Block & block, Tensor x, Tensor time, Tensor angles) const;
    Tensor embed_time(Layers & layers, Tensor timesteps) const;
    Tensor with_pads(Layers & layers, Tensor x, Tensor pad) const;
    Tensor to_tokens(Layers & layers, Tensor latent) const;
    Tensor from_tokens(Layers & layers, Tensor tokens, int64_t width, int64_t height) const;

    ZImageConfig config_;
    Linear time1_, time2_;
    Linear image_in_, text_in_;
    Norm text_norm_;
    Tensor image_pad_ = nullptr, text_pad_ = nullptr; // [width]
    std::vector<Block> noise_refiners_, context_refiners_, layers_;
    Linear last_modulation_, last_;
};

} // namespace diffusion
