// See file_kind.h.
#include "source/file_kind.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "names/lora_keys.h"
#include "names/names.h"

namespace diffusion {

namespace {

struct Beginning {
    std::string_view text;
    FileKind kind;
};

// Beginnings of names that only one type of file has.
constexpr std::array<Beginning, 17> beginnings = {{
    {unet_prefix, FileKind::model},
    {text_prefix, FileKind::model},
    {text_2_prefix, FileKind::model},
    {language_prefix, FileKind::model},
    {vae_prefix, FileKind::model},
    {control_prefix, FileKind::control_net},
    {"string_to_param.", FileKind::embedding},
    {"emb_params", FileKind::embedding},
    // RRDBNet of BasicSR, of ESRGAN's release and of the code before that
    {"body.0.rdb1.", FileKind::upscaler},
    {"conv_first.", FileKind::upscaler},
    {"RRDB_trunk.", FileKind::upscaler},
    {"model.1.sub.", FileKind::upscaler},
    // MiDaS, by its authors and by transformers
    {"pretrained.model.", FileKind::depth},
    {"scratch.refinenet1.", FileKind::depth},
    {"dpt.", FileKind::depth},
    {"neck.fusion_stage.", FileKind::depth},
    {"depth_model.", FileKind::depth},
}};

// Vectors per word: at most one chunk.
constexpr int64_t most_vectors = 75;

bool take_number(std::string_view & name) {
    const auto end = std::find_if_not(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c); });
    const auto length = static_cast<size_t>(end - name.begin());
    name.remove_prefix(length);
    return length > 0;
}

// Blocks of a TAESD have three convolutions: `decoder.layers.3.conv.4.weight`, or without the beginning.
bool is_of_taesd(std::string_view name) {
    for (const std::string_view half : {"encoder.layers.", "decoder.layers."}) {
        if (name.starts_with(half)) name.remove_prefix(half.size());
    }
    return take_number(name) && name == ".conv.4.weight";
}

// SRVGGNetCompact: convolutions and PReLU slopes alternate.
bool is_compact_upscaler(const TensorTable & table) {
    const StoredTensor *first = table.find("body.0.weight"), *slopes = table.find("body.1.weight");
    return first && slopes && first->n_dims == 4 && slopes->n_dims == 1;
}

// Vectors under arbitrary words, of one width, or for each text encoder.
bool is_embedding(const TensorTable & table) {
    const auto & tensors = table.tensors();
    for (const char * name : {"clip_l", "clip_g", "text_encoders_0", "text_encoders_1"}) {
        if (table.find(name)) return tensors.size() <= 3;
    }
    const auto is_word = [&](const StoredTensor & t) {
        const bool rows = t.n_dims == 1 || (t.n_dims == 2 && t.ne[1] <= most_vectors);
        return rows && t.ne[0] >= 64 && t.ne[0] == tensors.front().ne[0] && t.name.find('.') == std::string::npos;
    };
    return !tensors.empty() && std::ranges::all_of(tensors, is_word);
}

} // namespace

FileKind file_kind(const TensorTable & table) {
    const auto & tensors = table.tensors();
    const auto is_adapter = [](const StoredTensor & t) {
        return split_lora_key(t.name) || !refused_adapter(t.name, t.n_dims).empty();
    };
    if (2 * std::count_if(tensors.begin(), tensors.end(), is_adapter) > static_cast<int64_t>(tensors.size())) {
        return FileKind::lora;
    }
    for (const Beginning & beginning : beginnings) {
        const auto begins = [&](const StoredTensor & t) { return t.name.starts_with(beginning.text); };
        if (std::any_of(tensors.begin(), tensors.end(), begins)) return beginning.kind;
    }
    const auto is_taesd = [](const StoredTensor & t) { return is_of_taesd(t.name); };
    if (std::any_of(tensors.begin(), tensors.end(), is_taesd)) return FileKind::taesd;
    if (is_compact_upscaler(table)) return FileKind::upscaler;
    return is_embedding(table) ? FileKind::embedding : FileKind::unknown;
}

bool is_known_by_names(FileKind kind) {
    return kind != FileKind::unknown && kind != FileKind::embedding;
}

std::string file_kind_name(FileKind kind) {
    switch (kind) {
        case FileKind::model: return "model";
        case FileKind::lora: return "lora";
        case FileKind::embedding: return "embedding";
        case FileKind::control_net: return "controlnet";
        case FileKind::taesd: return "taesd";
        case FileKind::upscaler: return "upscaler";
        case FileKind::depth: return "depth";
        case FileKind::unknown: break;
    }
    return "";
}

std::string what_to_do_with(FileKind kind) {
    switch (kind) {
        case FileKind::lora: return "a LoRA; pass it in `loras`";
        case FileKind::embedding: return "a textual inversion embedding; pass it in `embeddings`";
        case FileKind::control_net: return "a ControlNet; pass it in `controls`";
        case FileKind::taesd: return "a TAESD; pass it as `taesd`";
        case FileKind::upscaler: return "an upscaler; open it with loadUpscaler()";
        case FileKind::depth: return "a depth estimator; open it with loadDepthEstimator()";
        case FileKind::model:
        case FileKind::unknown: break;
    }
    return "";
}

} // namespace diffusion
