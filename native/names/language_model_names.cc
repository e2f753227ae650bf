// See language_model_names.h.
#include "names/language_model_names.h"

#include <algorithm>
#include <array>
#include <utility>

#include "names/name_parts.h"

namespace diffusion {

namespace {

using Rename = std::pair<std::string_view, std::string_view>;

constexpr std::array<Rename, 3> llama_outer = {{
    {"token_embd.", "embed_tokens."},
    {"output_norm.", "norm."},
    {"output.", "lm_head."},
}};

constexpr std::array<Rename, 11> llama_layer = {{
    {"attn_norm.", "input_layernorm."},
    {"attn_q.", "self_attn.q_proj."},
    {"attn_k.", "self_attn.k_proj."},
    {"attn_v.", "self_attn.v_proj."},
    {"attn_output.", "self_attn.o_proj."},
    {"attn_q_norm.", "self_attn.q_norm."},
    {"attn_k_norm.", "self_attn.k_norm."},
    {"ffn_norm.", "post_attention_layernorm."},
    {"ffn_gate.", "mlp.gate_proj."},
    {"ffn_up.", "mlp.up_proj."},
    {"ffn_down.", "mlp.down_proj."},
}};

// What models that also see images have before the names of their language model.
constexpr std::array<std::string_view, 4> roots = {"model.language_model.", "language_model.model.", "language_model.",
                                                   "model."};
constexpr std::array<std::string_view, 5> beginnings = {"layers.", "embed_tokens.", "norm.", "lm_head.", "visual."};

template <size_t size>
std::optional<std::string> renamed(std::string_view name, const std::array<Rename, size> & table) {
    for (const auto & [from, to] : table) {
        if (name.starts_with(from)) return std::string(to) + std::string(name.substr(from.size()));
    }
    return std::nullopt;
}

} // namespace

std::optional<std::string> language_model_name(std::string_view name) {
    if (auto outer = renamed(name, llama_outer)) return outer;
    std::string_view rest = name;
    if (take(rest, "blk.")) {
        const size_t dot = rest.find('.');
        if (dot == std::string_view::npos) return std::nullopt;
        const auto layer = renamed(rest.substr(dot + 1), llama_layer);
        if (!layer) return std::nullopt;
        return "layers." + std::string(rest.substr(0, dot + 1)) + *layer;
    }
    for (const std::string_view root : roots) {
        if (take(rest, root)) break;
    }
    const auto begins = [&](std::string_view text) { return rest.starts_with(text); };
    return std::ranges::any_of(beginnings, begins) ? std::optional(std::string(rest)) : std::nullopt;
}

} // namespace diffusion
