// The UNet of latent diffusion (Rombach et al. 2022): a noisy latent, a timestep and a text condition to a prediction.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/blocks.h"
#include "graph/weights.h"

namespace diffusion {

// One entry of the UNet's input or output list.
struct UnetStage {
    std::string name;         // of its block in the checkpoint, with the dot behind it
    int64_t channels = 0;     // that come out
    bool residual = false;    // has a residual block
    int64_t transformers = 0; // blocks of its spatial transformer; 0 where it has none
    std::string resampler;    // name of the downsampling (input list) or upsampling (output list) at its end, or empty
};

struct UnetConfig {
    int64_t in_channels = 0;
    int64_t out_channels = 0;
    int64_t model_channels = 0;
    int64_t context_size = 0;
    int64_t head_size = 0; // fixed size of a head (SD 2, SDXL), or 0: `heads` heads of any size (SD 1)
    int64_t heads = 8;
    int64_t vector_size = 0;       // of what is added to the timestep's embedding (SDXL), or 0
    int64_t guidance_size = 0;     // of an embedded guidance scale (LCM, Luo et al. 2023), or 0
    std::vector<UnetStage> inputs; // without the first convolution
    // Distilled UNets lack the whole middle block, or all but its first residual block.
    bool middle = true;
    int64_t middle_transformers = 0; // 0 where there is that first residual block alone
    std::vector<UnetStage> outputs;

    // Side of the latent over side of the deepest level.
    int64_t downsampling() const;
};

class Unet {
public:
    // Sizes from shapes. Throws Error (model_unsupported) for sizes that no UNet has.
    static UnetConfig read_config(const WeightBinder & weights);

    Unet(WeightBinder & weights, const UnetConfig & config);
    ~Unet();

    const UnetConfig & config() const { return config_; }

    struct Inputs {
        Tensor latent;             // [width, height, in channels, batch]
        Tensor timesteps;          // [batch]
        Tensor context;            // [context size, tokens, batch]
        Tensor vector = nullptr;   // [vector size, batch], where the UNet takes one
        Tensor guidance = nullptr; // [guidance size, batch], likewise
    };
    // -> [width, height, out channels, batch]
    Tensor build(Graph & graph, const Inputs & in) const;

private:
    struct ResBlock;
    struct TransformerBlock;
    struct SpatialTransformer;
    struct Stage;

    ResBlock bind_residual(WeightBinder & weights, const std::string & prefix, int64_t in, int64_t out) const;
    SpatialTransformer bind_transformer(WeightBinder & weights, const std::string & prefix, int64_t channels,
                                        int64_t depth) const;

    Stage bind_stage(WeightBinder & weights, const UnetStage & stage, int64_t in) const;

    Tensor embedding(Graph & graph, const Inputs & in) const;
    Tensor residual(Graph & graph, const ResBlock & block, Tensor x, Tensor time) const;
    Tensor transformer(Graph & graph, const SpatialTransformer & block, Tensor x, Tensor context) const;
    Tensor stage(Graph & graph, const Stage & stage, Tensor x, Tensor time, Tensor context) const;

    UnetConfig config_;
    Linear time1_, time2_;
    Linear vector1_, vector2_; // where there is a vector
    Linear guidance_;          // where there is a guidance scale
    Conv2d first_, last_;
    Norm last_norm_;
    std::vector<Stage> inputs_, middle_, outputs_;
};

} // namespace diffusion
