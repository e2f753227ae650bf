// The autoencoder of latent diffusion (AutoencoderKL): images to latents and back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/layers.h"
#include "network/vae.h"
#include "weights/weight_binder.h"

namespace diffusion {

struct AutoencoderConfig {
    int64_t latent_channels = 0;
    std::vector<int64_t> level_channels; // of the decoder, finest level first
    int64_t decoder_blocks = 0;          // residual blocks of a level
    bool has_encoder = false;
    int64_t encoder_blocks = 0;

    // Pixels along one side of a latent's cell.
    int64_t scale_factor() const { return int64_t{1} << (level_channels.size() - 1); }
};

class Autoencoder : public Vae {
public:
    // Sizes from shapes. Throws Error (model_unsupported) for sizes that no autoencoder has.
    static AutoencoderConfig read_config(const WeightBinder & weights);

    Autoencoder(WeightBinder & weights, const AutoencoderConfig & config);

    const AutoencoderConfig & config() const { return config_; }

    VaeSizes sizes() const override;
    Tensor build_decoder(Layers & layers, Tensor latent) const override;
    Tensor build_encoder(Layers & layers, Tensor image) const override;

private:
    struct ResBlock {
        Norm norm1, norm2;
        Conv2d conv1, conv2;
        std::optional<Linear> skip; // where the number of channels changes
    };
    struct Attention {
        Norm norm;
        Linear q, k, v, out;
    };
    struct Middle {
        ResBlock block1, block2;
        Attention attention;
    };
    struct Level {
        std::vector<ResBlock> blocks;
        std::optional<Conv2d> resample;
    };
    struct Half {
        Conv2d first, last;
        std::vector<Level> levels; // in the order of evaluation
        Middle middle;
        Norm last_norm;
    };

    static ResBlock bind_residual(WeightBinder & weights, const std::string & prefix, int64_t in, int64_t out);
    static Middle bind_middle(WeightBinder & weights, const std::string & prefix, int64_t channels);
    void bind_decoder(WeightBinder & weights);
    void bind_encoder(WeightBinder & weights);

    static Tensor residual(Layers & layers, const ResBlock & block, Tensor x);
    static Tensor middle(Layers & layers, const Middle & middle, Tensor x);

    AutoencoderConfig config_;
    Half encoder_, decoder_;
    Linear to_moments_, from_latent_; // quant_conv and post_quant_conv
};

} // namespace diffusion
