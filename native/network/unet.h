// The UNet of latent diffusion (Rombach et al. 2022): noisy latent, timestep and text conditioning to a prediction.
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
    // Sizes from tensor shapes. Throws Error (model_unsupported) for unsupported sizes. `open_clip`: the text encoder
    // is OpenCLIP's; decides the head size if the width of the hidden states is not that of a published model.
    static UnetConfig read_config(const WeightBinder & weights, bool open_clip);

    Unet(WeightBinder & weights, const UnetConfig & config);

    // latent [batch, in channels, height, width], timesteps [batch], context [batch, tokens, context size], and, if the
    // network has them, vector [batch, vector size] and guidance [batch, guidance size]
    // -> prediction [batch, out channels, height, width].
    // The setting `identityAttention` replaces self-attention in the middle block with the identity.
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
