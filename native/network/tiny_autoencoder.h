// TAESD, the tiny autoencoder (https://github.com/madebyollin/taesd; AutoencoderTiny in diffusers): residual blocks of
// 3x3 convolutions and ReLUs, with down- or upsampling after every three.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/layers.h"
#include "network/vae.h"
#include "weights/weight_binder.h"

namespace diffusion {

// The encoder or the decoder.
struct TinyHalf {
    struct Block {
        Conv2d conv1, conv2, conv3;
        std::optional<Linear> skip; // if the number of channels changes
    };
    // Either a residual block, or a convolution that halves or doubles the size.
    struct Layer {
        std::optional<Block> block;
        Conv2d resample;
    };

    TinyHalf(WeightBinder & weights, const std::string & prefix);

    Conv2d first, last;
    std::vector<Layer> layers;
};

// Sizes from the tensors `<prefix>encoder.layers.*` and `<prefix>decoder.layers.*`. Throws Error (model_unsupported)
// for unsupported layers.
VaeSizes read_tiny_sizes(const WeightBinder & weights, const std::string & prefix);

class TinyDecoder : public VaeDecoder {
public:
    TinyDecoder(WeightBinder & weights, const std::string & prefix, const VaeSizes & sizes);

private:
    Tensor decode(Layers & layers, Tensor latent, const VaeTiles &) const override;

    TinyHalf half_;
};

// Its latents have no variance, so the log variance is -30, the lower limit that LDM clamps to.
class TinyEncoder : public VaeEncoder {
public:
    TinyEncoder(WeightBinder & weights, const std::string & prefix, const VaeSizes & sizes);

private:
    Tensor encode(Layers & layers, Tensor image, const VaeTiles &) const override;

    TinyHalf half_;
};

} // namespace diffusion
