// See dpt_names.h.
#include "names/dpt_names.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "io/read_numbers.h"
#include "names/name_parts.h"

namespace diffusion {

namespace {

// In the checkpoint of Stable Diffusion 2 depth, which includes the network.
constexpr std::string_view in_checkpoint = "depth_model.model.";

using Renaming = std::array<std::string_view, 2>;

template <size_t n>
std::optional<std::string> rename(std::string_view name, const std::array<Renaming, n> & renamings) {
    for (const auto & [from, to] : renamings) {
        if (take(name, from)) return std::string(to) + std::string(name);
    }
    return std::nullopt;
}

std::optional<std::string> embedding_name(std::string_view name) {
    static constexpr std::array<Renaming, 5> places = {{
        {"cls_token", "cls_token"},
        {"position_embeddings", "pos_embed"},
        {"patch_embeddings.projection.", "patch_embed.proj."},
        {"projection.", "patch_embed.proj."},
        {"backbone.bit.embedder.norm.", "patch_embed.backbone.stem.norm."},
    }};
    if (take(name, "backbone.bit.embedder.convolution.")) {
        return "patch_embed.backbone.stem.conv." + std::string(name);
    }
    if (!take(name, "backbone.bit.encoder.stages.")) return rename(name, places);
    const std::optional<int> stage = take_index(name);
    if (!stage || !take(name, "layers.")) return std::nullopt;
    return "patch_embed.backbone.stages." + std::to_string(*stage) + ".blocks." + std::string(name);
}

std::optional<std::string> block_name(std::string_view name) {
    static constexpr std::array<Renaming, 8> places = {{
        {"attention.attention.query.", "attn.q."},
        {"attention.attention.key.", "attn.k."},
        {"attention.attention.value.", "attn.v."},
        {"attention.output.dense.", "attn.proj."},
        {"intermediate.dense.", "mlp.fc1."},
        {"output.dense.", "mlp.fc2."},
        {"layernorm_before.", "norm1."},
        {"layernorm_after.", "norm2."},
    }};
    const std::optional<int> block = take_index(name);
    const std::optional<std::string> inner = block ? rename(name, places) : std::nullopt;
    return inner ? std::optional("blocks." + std::to_string(*block) + "." + *inner) : std::nullopt;
}

// `2.rest` with what precedes and follows its number, counted up or down from `first`.
std::optional<std::string> numbered(std::string_view name, std::string_view before, int first, int direction,
                                    std::string_view behind) {
    const std::optional<int> index = take_index(name);
    if (!index) return std::nullopt;
    return std::string(before) + std::to_string(first + direction * *index) + std::string(behind) + std::string(name);
}

std::optional<std::string> neck_name(std::string_view name) {
    if (take(name, "reassemble_stage.readout_projects.")) {
        return numbered(name, "pretrained.act_postprocess", 1, 1, ".0.project.");
    }
    if (take(name, "convs.")) return numbered(name, "scratch.layer", 1, 1, "_rn.");
    static constexpr std::array<Renaming, 2> resizing = {{{"projection.", "3."}, {"resize.", "4."}}};
    static constexpr std::array<Renaming, 5> fusion = {{
        {"projection.", "out_conv."},
        {"residual_layer1.convolution1.", "resConfUnit1.conv1."},
        {"residual_layer1.convolution2.", "resConfUnit1.conv2."},
        {"residual_layer2.convolution1.", "resConfUnit2.conv1."},
        {"residual_layer2.convolution2.", "resConfUnit2.conv2."},
    }};
    const bool resizes = take(name, "reassemble_stage.layers.");
    if (!resizes && !take(name, "fusion_stage.layers.")) return std::nullopt;
    const std::optional<int> index = take_index(name);
    if (!index) return std::nullopt;
    const std::optional<std::string> inner = resizes ? rename(name, resizing) : rename(name, fusion);
    if (!inner) return std::nullopt;
    // Levels are fused from the coarsest, the fourth, on.
    return (resizes ? "pretrained.act_postprocess" + std::to_string(*index + 1)
                    : "scratch.refinenet" + std::to_string(4 - *index)) +
           "." + *inner;
}

// The canonical name for one of transformers'.
std::optional<std::string> transformers_name(std::string_view name) {
    std::optional<std::string> inner;
    if (take(name, "dpt.embeddings.")) {
        inner = embedding_name(name);
    } else if (take(name, "dpt.encoder.layer.")) {
        inner = block_name(name);
    } else if (take(name, "dpt.layernorm.")) {
        inner = "norm." + std::string(name);
    } else if (take(name, "neck.")) {
        return neck_name(name);
    } else if (take(name, "head.head.")) {
        return "scratch.output_conv." + std::string(name);
    }
    return inner ? std::optional("pretrained.model." + *inner) : std::nullopt;
}

// The classifier that the transformer was trained with, its last norm, and a layer for the first level, which has no
// previous one.
bool is_idle(std::string_view name) {
    return name.starts_with("pretrained.model.head.") || name.starts_with("pretrained.model.norm.") ||
           name.starts_with("scratch.refinenet4.resConfUnit1.");
}

// Adds a tensor; one with queries, keys and values becomes three that share its bytes.
void add_parts(TensorTable & table, const StoredTensor & tensor) {
    constexpr std::string_view fused = ".attn.qkv.";
    const size_t at = tensor.name.find(fused);
    StoredTensor part;
    for (int64_t i = 0; i < 3; i++) {
        if (at == std::string::npos || !take_rows(tensor, i, 3, part)) return table.add(tensor);
        part.name = tensor.name.substr(0, at) + ".attn." + "qkv"[i] + "." + tensor.name.substr(at + fused.size());
        table.add(part);
    }
}

} // namespace

bool holds_dpt(const TensorTable & table) {
    return std::ranges::any_of(table.tensors(), [](const StoredTensor & tensor) {
        const std::string_view name = tensor.name;
        return name.starts_with(in_checkpoint) || name.starts_with("scratch.") || name.starts_with("dpt.embeddings.") ||
               name.starts_with("neck.fusion_stage.");
    });
}

TensorTable canonical_dpt(const TensorTable & table) {
    const auto & tensors = table.tensors();
    const bool is_checkpoint = std::ranges::any_of(
        tensors, [](const StoredTensor & tensor) { return std::string_view(tensor.name).starts_with(in_checkpoint); });
    TensorTable result;
    for (const StoredFile & file : table.files()) result.add_file(file);
    for (const StoredTensor & tensor : tensors) {
        std::string_view name = tensor.name;
        if (is_checkpoint && !take(name, in_checkpoint)) continue;
        const std::optional<std::string> canonical = transformers_name(name);
        StoredTensor renamed = tensor;
        renamed.name = canonical ? *canonical : std::string(name);
        if (!is_idle(renamed.name)) add_parts(result, renamed);
    }
    return result;
}

} // namespace diffusion
