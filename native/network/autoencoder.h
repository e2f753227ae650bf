// The autoencoder of latent diffusion (AutoencoderKL): images to latents and back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/layers.h"
#include "network/tiled_chain.h"
#include "network/vae.h"
#include "weights/weight_binder.h"

namespace diffusion {

struct AutoencoderConfig {
    int64_t latent_channels = 0;
    std::vector<int64_t> level_channels; // of the decoder, finest level first
    int64_t decoder_blocks = 0;          // residual blocks per level
    bool has_encoder = false;
    bool has_quant = true; // quant_conv and post_quant_conv
    int64_t encoder_blocks = 0;

    // Sizes from tensor shapes. Throws Error (model_unsupported) for unsupported sizes.
    static AutoencoderConfig read(const WeightBinder & weights);

    VaeSizes sizes() const;
};

// The structure of the encoder and of the decoder.
struct AutoencoderHalf {
    struct ResBlock {
        Norm norm1, norm2;
        Conv2d conv1, conv2;
        std::optional<Linear> skip; // if the number of channels changes
    };
    struct Middle {
        ResBlock block1, block2;
        ImageAttention attention;
    };
    struct Level {
        std::vector<ResBlock> blocks;
        std::optional<Conv2d> resample;
    };

    Conv2d first, last;
    std::vector<Level> levels; // in the order of evaluation
    Middle middle;
    Norm last_norm;
    std::optional<Linear> quant; // quant_conv or post_quant_conv
};

class AutoencoderDecoder : public VaeDecoder {
public:
    AutoencoderDecoder(WeightBinder & weights, const AutoencoderConfig & config);

private:
    Tensor decode(Layers & layers, Tensor latent, const VaeTiles & tiles) const override;
    Tensor decode_in_tiles(Layers & layers, Tensor latent, const VaeTiles & tiles) const;

    AutoencoderHalf half_;
};

class AutoencoderEncoder : public VaeEncoder {
public:
    AutoencoderEncoder(WeightBinder & weights, const AutoencoderConfig & config);

private:
    Tensor encode(Layers & layers, Tensor image, const VaeTiles & tiles) const override;
    Tensor encode_in_tiles(Layers & layers, Tensor image, const VaeTiles & tiles) const;

    AutoencoderHalf half_;
};

} // namespace diffusion
