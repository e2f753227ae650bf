// The UNet of latent diffusion (Rombach et al. 2022): a noisy latent, a timestep and a text condition to a prediction.
#pragma once

#include <optional>
#include <vector>

#include "network/component.h"
#include "network/unet_encoder.h"

namespace diffusion {

struct UnetConfig : UnetEncoderConfig {
    int64_t out_channels = 0;
    std::vector<UnetStage> outputs;
};

class Unet : public Component {
public:
    // Sizes from shapes. Throws Error (model_unsupported) for sizes that no UNet has. `open_clip`: its text encoder is one of
    // OpenCLIP, which counts where the width of the hidden states is that of no published model.
    static UnetConfig read_config(const WeightBinder & weights, bool open_clip);

    Unet(WeightBinder & weights, const UnetConfig & config);

    // latent [batch, in channels, height, width], timesteps [batch], context [batch, tokens, context size], and where the network takes
    // them vector [batch, vector size] and guidance [batch, guidance size] -> prediction [batch, out channels, height, width].
    // The setting `identityAttention` makes self-attention in the middle the identity.
    Signature signature() const override;
    std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const override;
    Config config() const override;
    void describe(const std::string & name, ModelFacts & facts) const override;

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
