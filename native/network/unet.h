// The UNet of latent diffusion (Rombach et al. 2022): a noisy latent, a timestep and a text condition to a prediction.
#pragma once

#include <optional>
#include <vector>

#include "network/unet_encoder.h"

namespace diffusion {

struct UnetConfig : UnetEncoderConfig {
    int64_t out_channels = 0;
    std::vector<UnetStage> outputs;
};

class Unet {
public:
    // Sizes from shapes. Throws Error (model_unsupported) for sizes that no UNet has. `open_clip`: its text encoder is one of
    // OpenCLIP, which counts where the width of the hidden states is that of no published model.
    static UnetConfig read_config(const WeightBinder & weights, bool open_clip);

    Unet(WeightBinder & weights, const UnetConfig & config);

    const UnetConfig & config() const { return config_; }

    using Inputs = UnetEncoder::Inputs;
    // -> [width, height, out channels, batch]
    Tensor build(Layers & layers, const Inputs & in, const std::vector<UnetResiduals> & added = {}) const;

private:
    struct Stage {
        UnetBlock block;
        std::optional<Conv2d> upsample;
    };

    UnetConfig config_;
    UnetEncoder encoder_;
    std::vector<Stage> outputs_;
    Norm last_norm_;
    Conv2d last_;
};

} // namespace diffusion
