// What all autoencoders of images do: images to latents and back.
#pragma once

#include <vector>

#include "graph/layers.h"

namespace diffusion {

struct VaeSizes {
    int64_t latent_channels = 0;
    int64_t scale_factor = 1; // pixels along one side of a latent's cell
    bool has_encoder = false;
    bool tiny = false; // its latents are those of the diffusion, without a factor and without variance
    std::vector<int64_t> level_channels; // finest level first; empty for a tiny one
};

class Vae {
public:
    virtual ~Vae() = default;
    virtual VaeSizes sizes() const = 0;

    // [width, height, latent channels, batch] -> [width * f, height * f, 3, batch], about -1 to 1
    virtual Tensor build_decoder(Layers & layers, Tensor latent) const = 0;
    // [width, height, 3, batch] of -1 to 1 -> mean and log variance [width / f, height / f, 2 * latent channels, batch]; of a
    // tiny one the latent itself [.., latent channels, batch]
    virtual Tensor build_encoder(Layers & layers, Tensor image) const = 0;
};

} // namespace diffusion
