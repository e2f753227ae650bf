// The encoder half of a UNet with its middle block, which a ControlNet copies (Zhang et al. 2023, arXiv:2302.05543).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/layers.h"
#include "network/unet_blocks.h"
#include "weights/weight_binder.h"

namespace diffusion {

struct UnetEncoderConfig : UnetBlockSizes {
    std::string prefix; // of its tensor names
    int64_t in_channels = 0;
    int64_t vector_size = 0;       // of the conditioning vector (SDXL), or 0
    int64_t guidance_size = 0;     // of an embedded guidance scale (LCM, Luo et al. 2023), or 0
    std::vector<UnetStage> inputs; // without the first convolution
    // Distilled UNets have no middle block, or only its first residual block.
    bool middle = true;
    int64_t middle_transformers = 0; // 0 if the middle is only a residual block

    // Side of the latent over side of the coarsest level.
    int64_t downsampling() const;
    // Channels of the skip connections: the outputs of the first convolution and of each stage.
    std::vector<int64_t> skip_channels() const;
};

// Throws Error: this UNet or ControlNet is not supported.
[[noreturn]] void refuse_unet(const UnetEncoderConfig & config, ErrorCode code, const std::string & what);

// Width of the text hidden states that transformers attend to; 0 if there are no transformers.
int64_t read_context_size(const WeightBinder & weights, const std::string & prefix);
// A stage with a residual block, without its resampler.
UnetStage read_residual_stage(const WeightBinder & weights, const std::string & name);
bool has_conv(const WeightBinder & weights, const std::string & name);

// Throws Error (model_unsupported) for unsupported sizes.
void check_unet_stage(const UnetEncoderConfig & config, const UnetStage & stage);

// Images that are added to the skip connections and to the middle block's output.
struct UnetResiduals {
    std::vector<Tensor> skips;
    Tensor middle;
};

class UnetEncoder {
public:
    // Sizes from tensor shapes, which do not tell the head size: see UnetBlockSizes. Throws Error (model_unsupported)
    // for unsupported sizes.
    static UnetEncoderConfig read_config(const WeightBinder & weights, const std::string & prefix, int64_t head_size);

    UnetEncoder(WeightBinder & weights, const UnetEncoderConfig & config);

    struct Inputs {
        Tensor latent;             // [width, height, in channels, batch]
        Tensor timesteps;          // [batch]
        Tensor context;            // [context size, tokens, batch]
        Tensor vector = nullptr;   // [vector size, batch], if the network has one
        Tensor guidance = nullptr; // [guidance size, batch], likewise
        SelfAttention middle = SelfAttention::attends;
    };
    struct Result {
        Tensor time;               // embedding of the timestep, after SiLU
        std::vector<Tensor> skips; // images of skip_channels()
        Tensor middle;             // image
    };
    // `hint`: an image that is added to the first convolution's output, or nullptr.
    Result build(Layers & layers, const Inputs & in, Tensor hint = nullptr) const;

private:
    struct Stage {
        UnetBlock block;
        std::optional<Conv2d> downsample;
    };

    Tensor embedding(Layers & layers, const Inputs & in) const;

    UnetEncoderConfig config_;
    Linear time1_, time2_;
    Linear vector1_, vector2_; // if there is a vector
    Linear guidance_;          // if there is a guidance scale
    Conv2d first_;
    std::vector<Stage> inputs_;
    std::vector<UnetBlock> middle_;
};

} // namespace diffusion
