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

// One of both halves.
struct TinyHalf {
    struct Block {
        Conv2d conv1, conv2, conv3;
        std::optional<Linear> skip; // where the number of channels changes
    };
    // One of both: a residual block, or a convolution that halves or doubles the size.
    struct Layer {
        std::optional<Block> block;
        Conv2d resample;
    };

    TinyHalf(WeightBinder & weights, const std::string & prefix);

    Conv2d first, last;
    std::vector<Layer> layers;
};

// The sizes of tensors `<prefix>encoder.layers.*` and `<prefix>decoder.layers.*`. Throws Error (model_unsupported) for layers that no
// such network has.
VaeSizes read_tiny_sizes(const WeightBinder & weights, const std::string & prefix);

class TinyDecoder : public VaeDecoder {
public:
    TinyDecoder(WeightBinder & weights, const std::string & prefix, const VaeSizes & sizes);

private:
    Tensor decode(Layers & layers, Tensor latent) const override;

    TinyHalf half_;
};

// Its latents have no variance: the log of it is -30, as LDM cuts it off.
class TinyEncoder : public VaeEncoder {
public:
    TinyEncoder(WeightBinder & weights, const std::string & prefix, const VaeSizes & sizes);

private:
    Tensor encode(Layers & layers, Tensor image) const override;

    TinyHalf half_;
};

} // namespace diffusion
