// The half of a UNet that goes down to its middle, which a ControlNet is a copy of (Zhang et al. 2023, arXiv:2302.05543).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/layers.h"
#include "network/unet_blocks.h"
#include "weights/weight_binder.h"

namespace diffusion {

struct UnetEncoderConfig : UnetBlockSizes {
    std::string prefix; // of the names of its tensors
    int64_t in_channels = 0;
    int64_t vector_size = 0;       // of what is added to the timestep's embedding (SDXL), or 0
    int64_t guidance_size = 0;     // of an embedded guidance scale (LCM, Luo et al. 2023), or 0
    std::vector<UnetStage> inputs; // without the first convolution
    // Distilled UNets lack the whole middle block, or all but its first residual block.
    bool middle = true;
    int64_t middle_transformers = 0; // 0 where there is that first residual block alone

    // Side of the latent over side of the deepest level.
    int64_t downsampling() const;
    // Channels of the first convolution's result and of each stage's: what the other half joins.
    std::vector<int64_t> skip_channels() const;
};

// Throws: this is not a UNet, or ControlNet, that this package runs.
[[noreturn]] void refuse_unet(const UnetEncoderConfig & config, ErrorCode code, const std::string & what);

// Width of what transformers attend to; 0 where there is no transformer.
int64_t read_context_size(const WeightBinder & weights, const std::string & prefix);
// A stage with a residual block, without its resampler.
UnetStage read_residual_stage(const WeightBinder & weights, const std::string & name);
bool has_conv(const WeightBinder & weights, const std::string & name);

// Throws Error (model_unsupported) for sizes that no UNet has.
void check_unet_stage(const UnetEncoderConfig & config, const UnetStage & stage);

// What is added to the skips and to the middle before the other half reads them.
struct UnetResiduals {
    std::vector<Tensor> skips;
    Tensor middle;
};

class UnetEncoder {
public:
    // Sizes from shapes, but for those of attention heads, which leave no trace there: see UnetBlockSizes. Throws Error
    // (model_unsupported) for sizes that no UNet has.
    static UnetEncoderConfig read_config(const WeightBinder & weights, const std::string & prefix, int64_t head_size);

    UnetEncoder(WeightBinder & weights, const UnetEncoderConfig & config);

    struct Inputs {
        Tensor latent;             // [width, height, in channels, batch]
        Tensor timesteps;          // [batch]
        Tensor context;            // [context size, tokens, batch]
        Tensor vector = nullptr;   // [vector size, batch], where the network takes one
        Tensor guidance = nullptr; // [guidance size, batch], likewise
        SelfAttention middle = SelfAttention::attends;
    };
    struct Result {
        Tensor time;               // embedding of the timestep, activated
        std::vector<Tensor> skips; // images of skip_channels()
        Tensor middle;             // image
    };
    // `hint`: an image that is added to the first convolution's result, or nullptr.
    Result build(Layers & layers, const Inputs & in, Tensor hint = nullptr) const;

private:
    struct Stage {
        UnetBlock block;
        std::optional<Conv2d> downsample;
    };

    Tensor embedding(Layers & layers, const Inputs & in) const;

    UnetEncoderConfig config_;
    Linear time1_, time2_;
    Linear vector1_, vector2_; // where there is a vector
    Linear guidance_;          // where there is a guidance scale
    Conv2d first_;
    std::vector<Stage> inputs_;
    std::vector<UnetBlock> middle_;
};

} // namespace diffusion
