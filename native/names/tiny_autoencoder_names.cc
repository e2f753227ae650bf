// See tiny_autoencoder_names.h.
#include "names/tiny_autoencoder_names.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace diffusion {

namespace {

constexpr std::string_view first_conv = ".conv.0.weight"; // of a block

bool in_halves(const std::vector<std::string> & names) {
    const auto begins = [](const std::string & name) {
        return name.starts_with("encoder.layers.") || name.starts_with("decoder.layers.");
    };
    const auto of_decoder = [](const std::string & name) {
        return name.starts_with("decoder.layers.") && name.ends_with(first_conv);
    };
    return std::ranges::all_of(names, begins) && std::ranges::any_of(names, of_decoder);
}

size_t digits_of(std::string_view name) {
    const auto end = std::ranges::find_if(name, [](char c) { return !std::isdigit(static_cast<unsigned char>(c)); });
    return static_cast<size_t>(end - name.begin());
}

bool in_places(const std::vector<std::string> & names) {
    const auto begins = [](const std::string & name) {
        const size_t n = digits_of(name);
        return n > 0 && n < 4 && n < name.size() && name[n] == '.';
    };
    const auto of_block = [](const std::string & name) { return name.substr(digits_of(name)) == first_conv; };
    return std::ranges::all_of(names, begins) && std::ranges::any_of(names, of_block);
}

} // namespace

std::optional<CanonicalNames> tiny_autoencoder_names(const std::vector<std::string> & names, ModelPart expected) {
    const bool is_autoencoder = expected == ModelPart::vae || expected == ModelPart::tiny_autoencoder;
    const bool halves = in_halves(names), places = !halves && is_autoencoder && in_places(names);
    if (!halves && !places) return std::nullopt;
    // The decoder's sequence begins with a layer without weights, which clamps the latent.
    const bool decoder = std::ranges::find(names, "0.weight") == names.end();
    const bool preview = expected == ModelPart::tiny_autoencoder;
    CanonicalNames result;
    for (const std::string & name : names) {
        std::string local = name;
        if (places) {
            const size_t n = digits_of(name);
            const int place = std::stoi(name.substr(0, n)) - (decoder ? 1 : 0);
            local = (decoder ? "decoder.layers." : "encoder.layers.") + std::to_string(place) + name.substr(n);
        }
        result.names.push_back((preview ? tiny_preview_prefix : tiny_vae_prefix) + local);
        result.components.push_back(preview ? ModelPart::tiny_autoencoder : ModelPart::vae);
    }
    result.layout = "diffusers";
    return result;
}

} // namespace diffusion
