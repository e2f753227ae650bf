// See open_clip_names.h.
#include "names/open_clip_names.h"

#include <array>
#include <utility>

namespace diffusion {

namespace {

using Rename = std::pair<std::string_view, std::string_view>;

// Beginnings of names.
constexpr std::array<Rename, 6> roots = {{
    {"token_embedding.", "embeddings.token_embedding."},
    {"positional_embedding", "embeddings.position_embedding.weight"},
    {"ln_final.", "final_layer_norm."},
    {"text_projection", "text_projection"},
    {"attn_mask", "attn_mask"},
    {"visual.", "vision_model."},
}};

// After the number of a block.
constexpr std::array<Rename, 6> parts = {{
    {"attn.in_proj_", "self_attn.in_proj_"},
    {"attn.out_proj.", "self_attn.out_proj."},
    {"ln_1.", "layer_norm1."},
    {"ln_2.", "layer_norm2."},
    {"mlp.c_fc.", "mlp.fc1."},
    {"mlp.c_proj.", "mlp.fc2."},
}};

template <size_t size>
std::optional<std::string> renamed(std::string_view name, const std::array<Rename, size> & table) {
    for (const auto & [from, to] : table) {
        if (name.starts_with(from)) return std::string(to) + std::string(name.substr(from.size()));
    }
    return std::nullopt;
}

} // namespace

std::optional<std::string> from_open_clip(std::string_view name) {
    constexpr std::string_view blocks = "transformer.resblocks.";
    if (!name.starts_with(blocks)) {
        // Unlike transformers' `text_projection.weight`, it is not transposed.
        return name.starts_with("text_projection.") ? std::nullopt : renamed(name, roots);
    }
    name.remove_prefix(blocks.size());
    const size_t digits = name.find_first_not_of("0123456789");
    if (digits == 0 || digits == std::string_view::npos || name[digits] != '.') return std::nullopt;
    const std::optional<std::string> part = renamed(name.substr(digits + 1), parts);
    return part ? std::optional("encoder.layers." + std::string(name.substr(0, digits + 1)) + *part) : std::nullopt;
}

} // namespace diffusion
