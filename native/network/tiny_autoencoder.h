// TAESD, the tiny autoencoder (https://github.com/madebyollin/taesd; AutoencoderTiny in diffusers): residual blocks of 3x3
// convolutions and ReLUs, with a halving or doubling between every three.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/layers.h"
#include "network/vae.h"
#include "weights/weight_binder.h"

namespace diffusion {

class TinyAutoencoder : public Vae {
public:
    // Of tensors `<prefix>encoder.layers.*` and `<prefix>decoder.layers.*`. Throws Error (model_unsupported) for layers that no
    // such network has.
    TinyAutoencoder(WeightBinder & weights, const std::string & prefix);

    VaeSizes sizes() const override;
    Tensor build_decoder(Layers & layers, Tensor latent) const override;
    Tensor build_encoder(Layers & layers, Tensor image) const override;

private:
    struct Block {
        Conv2d conv1, conv2, conv3;
        std::optional<Linear> skip; // where the number of channels changes
    };
    // One of both: a residual block, or a convolution that halves or doubles the size.
    struct Layer {
        std::optional<Block> block;
        Conv2d resample;
    };
    struct Half {
        Conv2d first, last;
        std::vector<Layer> layers;
        int64_t n_resamples = 0;
    };

    static Half bind(WeightBinder & weights, const std::string & prefix);
    static Tensor residual(Layers & layers, const Block & block, Tensor x);

    int64_t latent_channels_ = 0;
    Half decoder_;
    std::optional<Half> encoder_;
};

} // namespace diffusion
