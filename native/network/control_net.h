// A ControlNet (Zhang et al. 2023, arXiv:2302.05543): the first half of a UNet, led by an image, that adds to what the UNet's second half
// reads.
#pragma once

#include <vector>

#include "network/unet.h"

namespace diffusion {

struct ControlNetConfig : UnetEncoderConfig {
    std::vector<int64_t> hint_channels; // that come out of each convolution that the image goes through

    // Side of the image over side of the latent.
    int64_t hint_factor() const;
};

class ControlNet {
public:
    // Sizes from shapes. Throws Error (model_unsupported) for sizes that no ControlNet has. The size of heads is that of the UNet.
    static ControlNetConfig read_config(const WeightBinder & weights);

    ControlNet(WeightBinder & weights, const ControlNetConfig & config);

    const ControlNetConfig & config() const { return config_; }

    // What it takes beside the inputs of the UNet: hint [1, 3, image height, image width], 0 to 1, and strength [1].
    std::vector<Port> inputs() const;
    // in: those of the UNet, whose latent may have more channels. hint [hint width, hint height, 3, 1], 0 to 1; strength [1].
    UnetResiduals build(Layers & layers, UnetEncoder::Inputs in, Tensor hint, Tensor strength) const;

private:
    Tensor embed_hint(Layers & layers, Tensor hint) const;

    ControlNetConfig config_;
    UnetEncoder encoder_;
    std::vector<Conv2d> hint_;
    std::vector<Linear> skips_; // the "zero convolutions", which training starts with all weights 0
    Linear middle_;
};

} // namespace diffusion
