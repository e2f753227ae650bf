// See z_image_names.h.
#include "names/z_image_names.h"

#include <algorithm>
#include <array>
#include <utility>

#include "names/name_parts.h"

namespace diffusion {

namespace {

using Rename = std::pair<std::string_view, std::string_view>;

constexpr std::array<Rename, 2> outer = {{
    {"all_x_embedder.2-1.", "x_embedder."},
    {"all_final_layer.2-1.", "final_layer."},
}};

constexpr std::array<Rename, 3> inner = {{
    {".attention.to_out.0.", ".attention.out."},
    {".attention.norm_q.", ".attention.q_norm."},
    {".attention.norm_k.", ".attention.k_norm."},
}};

constexpr std::array<std::string_view, 10> beginnings = {
    "layers.",       "noise_refiner.", "context_refiner.", "x_embedder.",   "t_embedder.",
    "cap_embedder.", "final_layer.",   "x_pad_token",      "cap_pad_token", "norm_final."};

} // namespace

std::optional<std::string> z_image_name(std::string_view name, bool & diffusers) {
    diffusers = false;
    for (const auto & [from, to] : outer) {
        std::string_view rest = name;
        if (!take(rest, from)) continue;
        diffusers = true;
        return std::string(to) + std::string(rest);
    }
    const auto begins = [&](std::string_view text) { return name.starts_with(text); };
    if (std::ranges::none_of(beginnings, begins)) return std::nullopt;
    for (const auto & [from, to] : inner) {
        const size_t at = name.find(from);
        if (at == std::string_view::npos) continue;
        diffusers = true;
        return std::string(name.substr(0, at)) + std::string(to) + std::string(name.substr(at + from.size()));
    }
    diffusers = name.find(".attention.to_") != std::string_view::npos;
    return std::string(name);
}

std::vector<std::string> z_image_spellings(std::string_view layer) {
    std::vector<std::string> names = {std::string(layer)};
    const std::string dotted = std::string(layer) + ".";
    for (const auto & [from, to] : outer) {
        if (dotted.starts_with(to)) names.push_back(std::string(from) + dotted.substr(to.size()));
    }
    for (const auto & [from, to] : inner) {
        const size_t at = dotted.find(to);
        if (at != std::string::npos) names.push_back(std::string(dotted).replace(at, to.size(), from));
    }
    for (size_t i = 1; i < names.size(); i++) names[i].pop_back(); // the dot
    return names;
}

} // namespace diffusion
