// A ControlNet (Zhang et al. 2023, arXiv:2302.05543): a copy of a UNet's encoder, conditioned on an image. Its outputs
// are added to the UNet's skip connections and middle block.
#pragma once

#include <vector>

#include "network/unet.h"

namespace diffusion {

struct ControlNetConfig : UnetEncoderConfig {
    std::vector<int64_t> hint_channels; // output channels of each convolution of the hint encoder

    // Scale factor from the latent to the control image.
    int64_t hint_factor() const;
};

class ControlNet {
public:
    // Sizes from tensor shapes, except for the head size, which is the UNet's. Throws Error (model_unsupported) for
    // unsupported sizes.
    static ControlNetConfig read_config(const WeightBinder & weights);

    ControlNet(WeightBinder & weights, const ControlNetConfig & config);

    const ControlNetConfig & config() const { return config_; }

    // Inputs in addition to the UNet's: hint [1, 3, image height, image width], 0 to 1, and strength [1].
    std::vector<Port> inputs() const;
    // `in`: the UNet's inputs, whose latent may have more channels. hint [image width, image height, 3, 1], 0 to 1;
    // strength [1].
    UnetResiduals build(Layers & layers, UnetEncoder::Inputs in, Tensor hint, Tensor strength) const;

private:
    Tensor embed_hint(Layers & layers, Tensor hint) const;

    ControlNetConfig config_;
    UnetEncoder encoder_;
    std::vector<Conv2d> hint_;
    std::vector<Linear> skips_; // the "zero convolutions", initialized with zeros for training
    Linear middle_;
};

} // namespace diffusion
