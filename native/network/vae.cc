// See vae.h.
#include "network/vae.h"

namespace diffusion {

namespace {

Port image_port(const VaeSizes & sizes) {
    constexpr int64_t image_channels = 3;
    const int64_t f = sizes.scale_factor;
    return {"image", {"batch", image_channels, {"height", f}, {"width", f}}};
}

} // namespace

Signature VaeDecoder::signature() const {
    Signature s;
    s.inputs = {{"latent", {"batch", sizes_.latent_channels, "height", "width"}}};
    s.outputs = {image_port(sizes_)};
    return s;
}

Config VaeDecoder::config() const {
    return {{"latentChannels", sizes_.latent_channels},
            {"levelChannels", sizes_.level_channels},
            {"scaleFactor", sizes_.scale_factor},
            {"encoder", sizes_.has_encoder},
            {"tiny", sizes_.tiny}};
}

Signature VaeEncoder::signature() const {
    Signature s;
    s.inputs = {image_port(sizes_)};
    s.outputs = {{"moments", {"batch", 2 * sizes_.latent_channels, "height", "width"}}};
    return s;
}

} // namespace diffusion
