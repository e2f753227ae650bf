// The place of each tensor of a diffusers UNet, ControlNet or VAE in the original model.
#include "names/diffusers_names.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "names/name_parts.h"

namespace diffusion {

namespace {

using Rename = std::pair<std::string_view, std::string_view>;

constexpr std::array<Rename, 6> unet_resnet = {{
    {"norm1.", "in_layers.0."},
    {"conv1.", "in_layers.2."},
    {"time_emb_proj.", "emb_layers.1."},
    {"norm2.", "out_layers.0."},
    {"conv2.", "out_layers.3."},
    {"conv_shortcut.", "skip_connection."},
}};

constexpr std::array<Rename, 10> unet_rest = {{
    {"conv_in.", "input_blocks.0.0."},
    {"time_embedding.linear_1.", "time_embed.0."},
    {"time_embedding.linear_2.", "time_embed.2."},
    {"time_embedding.cond_proj.", "time_embed.cond_proj."},
    {"add_embedding.linear_1.", "label_emb.0.0."},
    {"add_embedding.linear_2.", "label_emb.0.2."},
    {"class_embedding.linear_1.", "label_emb.0.0."},
    {"class_embedding.linear_2.", "label_emb.0.2."},
    {"conv_norm_out.", "out.0."},
    {"conv_out.", "out.2."},
}};

constexpr std::array<Rename, 5> vae_resnet = {{
    {"norm1.", "norm1."},
    {"conv1.", "conv1."},
    {"norm2.", "norm2."},
    {"conv2.", "conv2."},
    {"conv_shortcut.", "nin_shortcut."},
}};

// Both generations of diffusers' attention names; only the ranks of the weights differ between them.
constexpr std::array<Rename, 9> vae_attention = {{
    {"group_norm.", "norm."},
    {"to_q.", "q."},
    {"to_k.", "k."},
    {"to_v.", "v."},
    {"to_out.0.", "proj_out."},
    {"query.", "q."},
    {"key.", "k."},
    {"value.", "v."},
    {"proj_attn.", "proj_out."},
}};

template <size_t size>
std::optional<std::string> renamed(std::string_view name, const std::array<Rename, size> & table) {
    for (const auto & [from, to] : table) {
        if (name.starts_with(from)) return std::string(to) + std::string(name.substr(from.size()));
    }
    return std::nullopt;
}

// Consumes `prefix`, a number below 100 (more than the levels and blocks of any network) and a dot; changes nothing if
// they are not there.
std::optional<int> take_index(std::string_view & name, std::string_view prefix) {
    std::string_view rest = name;
    if (!take(rest, prefix)) return std::nullopt;
    const size_t digits = std::min<size_t>(rest.find('.'), rest.size());
    int index = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + digits, index);
    const bool canonical = digits >= 1 && digits <= 2 && (digits == 1 || rest[0] != '0') && digits < rest.size();
    if (!canonical || error != std::errc() || end != rest.data() + digits || index < 0) return std::nullopt;
    name = rest.substr(digits + 1);
    return index;
}

std::optional<std::string> prefixed(const std::string & prefix, std::optional<std::string> name) {
    return name ? std::optional(prefix + *name) : std::nullopt;
}

} // namespace

void DiffusersUnet::note(std::string_view name) {
    for (const auto & [prefix, levels] : {std::pair{"down_blocks.", &down_}, std::pair{"up_blocks.", &up_}}) {
        const auto level = take_index(name, prefix);
        if (!level) continue;
        Level & noted = (*levels)[*level];
        if (const auto resnet = take_index(name, "resnets.")) noted.resnets = std::max(noted.resnets, *resnet + 1);
        noted.attention = noted.attention || name.starts_with("attentions.");
        noted.resampler = noted.resampler || name.starts_with("downsamplers.") || name.starts_with("upsamplers.");
    }
}

int DiffusersUnet::first_input_block(int level) const {
    int index = 1; // after conv_in
    for (auto it = down_.begin(); it != down_.lower_bound(level); ++it) {
        index += it->second.resnets + (it->second.resampler ? 1 : 0);
    }
    return index;
}

int DiffusersUnet::first_output_block(int level) const {
    int index = 0;
    for (auto it = up_.begin(); it != up_.lower_bound(level); ++it) index += it->second.resnets;
    return index;
}

std::optional<std::string> DiffusersUnet::convert(std::string_view name) const {
    if (const auto level = take_index(name, "down_blocks.")) return convert_down(*level, name);
    if (const auto level = take_index(name, "up_blocks.")) return convert_up(*level, name);
    if (!take(name, "mid_block.")) return renamed(name, unet_rest);
    if (const auto i = take_index(name, "resnets.")) {
        return prefixed("middle_block." + std::to_string(2 * *i) + ".", renamed(name, unet_resnet));
    }
    const auto i = take_index(name, "attentions.");
    if (!i) return std::nullopt;
    return "middle_block." + std::to_string(2 * *i + 1) + "." + std::string(name);
}

std::optional<std::string> DiffusersUnet::convert_down(int level, std::string_view rest) const {
    const auto block = [&](int i) { return "input_blocks." + std::to_string(first_input_block(level) + i) + "."; };
    if (const auto i = take_index(rest, "resnets.")) return prefixed(block(*i) + "0.", renamed(rest, unet_resnet));
    if (const auto i = take_index(rest, "attentions.")) return block(*i) + "1." + std::string(rest);
    if (take(rest, "downsamplers.0.conv.")) return block(down_.at(level).resnets) + "0.op." + std::string(rest);
    return std::nullopt;
}

std::optional<std::string> DiffusersUnet::convert_up(int level, std::string_view rest) const {
    const auto block = [&](int i) { return "output_blocks." + std::to_string(first_output_block(level) + i) + "."; };
    if (const auto i = take_index(rest, "resnets.")) return prefixed(block(*i) + "0.", renamed(rest, unet_resnet));
    if (const auto i = take_index(rest, "attentions.")) return block(*i) + "1." + std::string(rest);
    const Level & noted = up_.at(level);
    if (noted.resnets == 0 || !take(rest, "upsamplers.0.conv.")) return std::nullopt;
    return block(noted.resnets - 1) + (noted.attention ? "2.conv." : "1.conv.") + std::string(rest);
}

void DiffusersControlNet::note(std::string_view name) {
    unet_.note(name);
    if (const auto i = take_index(name, "controlnet_cond_embedding.blocks.")) {
        hint_blocks_ = std::max(hint_blocks_, *i + 1);
    }
}

std::optional<std::string> DiffusersControlNet::convert(std::string_view name) const {
    const auto hint = [&](int layer) {
        return "input_hint_block." + std::to_string(2 * layer) + "." + std::string(name);
    };
    if (take(name, "controlnet_cond_embedding.conv_in.")) return hint(0);
    if (take(name, "controlnet_cond_embedding.conv_out.")) return hint(hint_blocks_ + 1);
    if (const auto i = take_index(name, "controlnet_cond_embedding.blocks.")) return hint(*i + 1);
    if (const auto i = take_index(name, "controlnet_down_blocks.")) {
        return "zero_convs." + std::to_string(*i) + ".0." + std::string(name);
    }
    if (take(name, "controlnet_mid_block.")) return "middle_block_out.0." + std::string(name);
    return unet_.convert(name);
}

void DiffusersVae::note(std::string_view name) {
    if (const auto level = take_index(name, "decoder.up_blocks.")) up_levels_ = std::max(up_levels_, *level + 1);
}

std::optional<std::string> DiffusersVae::convert(std::string_view name) const {
    for (const std::string half : {"encoder.", "decoder."}) {
        if (take(name, half)) return prefixed(half, convert_half(half, name));
    }
    return std::nullopt;
}

std::optional<std::string> DiffusersVae::convert_half(std::string_view half, std::string_view rest) const {
    std::string level_name;
    if (const auto level = take_index(rest, "down_blocks."); level && half == "encoder.") {
        level_name = "down." + std::to_string(*level) + ".";
    } else if (const auto up = take_index(rest, "up_blocks."); up && half == "decoder.") {
        level_name = "up." + std::to_string(up_levels_ - 1 - *up) + ".";
    } else if (take(rest, "mid_block.")) {
        if (const auto i = take_index(rest, "resnets.")) {
            return prefixed("mid.block_" + std::to_string(*i + 1) + ".", renamed(rest, vae_resnet));
        }
        const auto i = take_index(rest, "attentions.");
        return i ? prefixed("mid.attn_" + std::to_string(*i + 1) + ".", renamed(rest, vae_attention)) : std::nullopt;
    } else if (take(rest, "conv_norm_out.")) {
        return "norm_out." + std::string(rest);
    } else {
        return std::nullopt;
    }
    if (const auto i = take_index(rest, "resnets.")) {
        return prefixed(level_name + "block." + std::to_string(*i) + ".", renamed(rest, vae_resnet));
    }
    if (const auto i = take_index(rest, "attentions.")) {
        return prefixed(level_name + "attn." + std::to_string(*i) + ".", renamed(rest, vae_attention));
    }
    if (take(rest, "downsamplers.0.conv.")) return level_name + "downsample.conv." + std::string(rest);
    if (take(rest, "upsamplers.0.conv.")) return level_name + "upsample.conv." + std::string(rest);
    return std::nullopt;
}

} // namespace diffusion
