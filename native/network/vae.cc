// See vae.h.
#include "network/vae.h"

namespace diffusion {

namespace {

Port image_port(const VaeSizes & sizes) {
    constexpr int64_t image_channels = 3;
    const int64_t f = sizes.scale_factor;
    return {"image", {"batch", image_channels, {"height", f}, {"width", f}}};
}

// Of the side in pixels of the latent, 0 for one piece; and of the memory in MiB that tiles and what is kept between
// them should get along with.
std::vector<Setting> tile_settings(const VaeSizes & sizes) {
    if (!sizes.tiles) return {};
    constexpr int64_t most_side = 1 << 16, most_memory = 1 << 20, usual_memory = 1344;
    return {{"tileSide", 0, most_side, 0, ""}, {"tileMemory", 0, most_memory, usual_memory, ""}};
}

} // namespace

VaeTiles read_tiles(const Settings & settings) {
    const auto side = settings.find("tileSide");
    if (side == settings.end()) return {};
    // Images are kept in blocks of 8x8 pixels.
    constexpr int64_t multiple = 8;
    return {(side->second + multiple - 1) / multiple * multiple, static_cast<size_t>(settings.at("tileMemory")) << 20};
}

Signature VaeDecoder::signature() const {
    Signature s;
    s.inputs = {{"latent", {"batch", sizes_.latent_channels, "height", "width"}}};
    s.outputs = {image_port(sizes_)};
    s.settings = tile_settings(sizes_);
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
    s.settings = tile_settings(sizes_);
    return s;
}

} // namespace diffusion
