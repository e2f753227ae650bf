// The blocks of UNets and ControlNets: their tensors and their graphs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/layers.h"
#include "weights/weight_binder.h"

namespace diffusion {

// For the group norms outside transformers.
inline constexpr float unet_norm_eps = 1e-5f;

// An input or output block of a UNet.
struct UnetStage {
    std::string name;         // of its block in the checkpoint, with a trailing dot
    int64_t channels = 0;     // output channels
    bool residual = false;    // has a residual block
    int64_t transformers = 0; // blocks of its spatial transformer; 0 for none
    std::string resampler;    // name of the downsampler (input block) or upsampler (output block) at its end, or empty
};

// Sizes that all blocks of a network share.
struct UnetBlockSizes {
    int64_t model_channels = 0;
    int64_t context_size = 0; // width of the text hidden states that transformers attend to
    int64_t head_size = 0;    // fixed size of a head (SD 2, SDXL), or 0: `heads` heads of any size (SD 1)
    int64_t heads = 8;
};

// With `identity` each token attends only to itself (perturbed-attention guidance, Ahn et al. 2024, arXiv:2403.17377,
// eq. 14).
enum class SelfAttention { attends, identity };

// The tensors of one stage.
class UnetBlock {
public:
    // `in`: input channels. The caller adds the resampler.
    UnetBlock(WeightBinder & weights, const UnetBlockSizes & sizes, const UnetStage & stage, int64_t in);
    // Only a residual block, which keeps the number of channels.
    UnetBlock(WeightBinder & weights, const UnetBlockSizes & sizes, const std::string & prefix, int64_t channels);

    // x is an image; time [4 * model channels, batch], context [context size, tokens, batch].
    Tensor build(Layers & layers, Tensor x, Tensor time, Tensor context,
                 SelfAttention self = SelfAttention::attends) const;

private:
    struct Residual {
        Norm norm1, norm2;
        Conv2d conv1, conv2;
        Linear time;
        std::optional<Linear> skip; // if the number of channels changes
    };
    struct Attention {
        Linear q, k, v, out;
    };
    struct TransformerBlock {
        Norm norm1, norm2, norm3;
        Attention self, cross;
        Linear gated, out; // GEGLU and its projection
    };
    struct Transformer {
        Norm norm;
        Linear in, out;
        int64_t heads = 0;
        std::vector<TransformerBlock> blocks;
    };

    static Residual bind_residual(WeightBinder & weights, const std::string & prefix, int64_t in, int64_t out,
                                  int64_t time);
    static Transformer bind_transformer(WeightBinder & weights, const std::string & prefix,
                                        const UnetBlockSizes & sizes, int64_t channels, int64_t depth);
    static Tensor build_residual(Layers & layers, const Residual & block, Tensor x, Tensor time);
    static Tensor build_transformer(Layers & layers, const Transformer & block, Tensor x, Tensor context,
                                    SelfAttention self);

    std::optional<Residual> residual_;
    std::optional<Transformer> transformer_;
};

} // namespace diffusion
