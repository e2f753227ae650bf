// See lora_keys.h.
#include "names/lora_keys.h"

#include <algorithm>
#include <array>

#include "names/name_parts.h"

namespace diffusion {

namespace {

// A name without its layer: `stem`, perhaps with a dot and the name of an adapter, and `tail`.
struct Ending {
    std::string_view stem, tail;
    LoraPart part;
    bool named; // PEFT's, which may have an adapter name in between
};

constexpr std::array<Ending, 34> endings = {{
    {".alpha", "", LoraPart::alpha, false},
    {".lora_up", ".weight", LoraPart::up, false},
    {".lora_down", ".weight", LoraPart::down, false},
    {".lora_mid", ".weight", LoraPart::mid, false},
    {".lora_up", ".bias", LoraPart::up_bias, false},
    {".lora_B", ".weight", LoraPart::up, true},
    {".lora_A", ".weight", LoraPart::down, true},
    {".lora_B", ".bias", LoraPart::up_bias, true},
    {".lora_embedding_A", "", LoraPart::embedding_a, true},
    {".lora_embedding_B", "", LoraPart::embedding_b, true},
    // The generations of diffusers before PEFT.
    {".lora.up", ".weight", LoraPart::up, false},
    {".lora.down", ".weight", LoraPart::down, false},
    {".lora.up", ".bias", LoraPart::up_bias, false},
    {".lora_linear_layer.up", ".weight", LoraPart::up, false},
    {".lora_linear_layer.down", ".weight", LoraPart::down, false},
    {"_lora.up", ".weight", LoraPart::up, false},
    {"_lora.down", ".weight", LoraPart::down, false},
    // LyCORIS, and PEFT after it.
    {".hada_w1_a", "", LoraPart::hada_w1_a, true},
    {".hada_w1_b", "", LoraPart::hada_w1_b, true},
    {".hada_w2_a", "", LoraPart::hada_w2_a, true},
    {".hada_w2_b", "", LoraPart::hada_w2_b, true},
    {".hada_t1", "", LoraPart::hada_t1, true},
    {".hada_t2", "", LoraPart::hada_t2, true},
    {".lokr_w1", "", LoraPart::lokr_w1, true},
    {".lokr_w1_a", "", LoraPart::lokr_w1_a, true},
    {".lokr_w1_b", "", LoraPart::lokr_w1_b, true},
    {".lokr_w2", "", LoraPart::lokr_w2, true},
    {".lokr_w2_a", "", LoraPart::lokr_w2_a, true},
    {".lokr_w2_b", "", LoraPart::lokr_w2_b, true},
    {".lokr_t2", "", LoraPart::lokr_t2, true},
    // The only two forms for norms.
    {".w_norm", "", LoraPart::diff, false},
    {".b_norm", "", LoraPart::bias_diff, false},
    {".diff", "", LoraPart::diff, false},
    {".diff_b", "", LoraPart::bias_diff, false},
}};

// A part of a name between two dots, or its beginning, and the adapter type that uses it.
struct Mark {
    std::string_view text, kind;
};

constexpr std::array<Mark, 20> refused = {{
    {"dora_scale", "DoRA"},
    {"lora_magnitude_vector", "DoRA"},
    {"oft_blocks", "OFT"}, // and BOFT, with one more dimension
    {"oft_diag", "OFT"},
    {"oft_R", "OFT"},
    {"oft_r", "OFT"},
    {"oft_s", "OFT"},
    {"boft_R", "BOFT"},
    {"boft_s", "BOFT"},
    {"on_input", "(IA)^3"},
    {"ia3_l", "(IA)^3"},
    {"vera_lambda_b", "VeRA"},
    {"vera_lambda_d", "VeRA"},
    {"vblora_logits", "VB-LoRA"},
    {"vblora_vector_bank", "VB-LoRA"},
    {"lora_E", "AdaLoRA"},
    {"hra_u", "HRA"},
    {"fourierft_spectrum", "FourierFT"},
    {"bone_block", "Bone"},
    {"randlora_lambda", "RandLoRA"},
}};

constexpr std::array<std::string_view, 4> glora = {".a1.weight", ".a2.weight", ".b1.weight", ".b2.weight"};

// Length of the ending, or nothing if the name has another one.
std::optional<size_t> length_of(const Ending & ending, std::string_view name) {
    if (!name.ends_with(ending.tail)) return std::nullopt;
    std::string_view rest = name.substr(0, name.size() - ending.tail.size());
    if (ending.named && !rest.ends_with(ending.stem)) {
        const size_t point = rest.rfind('.');
        if (point == std::string_view::npos || point + 1 == rest.size()) return std::nullopt;
        rest = rest.substr(0, point);
    }
    if (!rest.ends_with(ending.stem)) return std::nullopt;
    return name.size() - rest.size() + ending.stem.size();
}

} // namespace

std::optional<LoraKey> split_lora_key(std::string_view name) {
    take(name, "base_model.model."); // of PEFT's own files
    for (const Ending & ending : endings) {
        const auto length = length_of(ending, name);
        if (!length || name.size() <= *length) continue;
        std::string layer(name.substr(0, name.size() - *length));
        // Older versions of diffusers had attention processors between a layer and its projections.
        constexpr std::string_view processor = ".processor.";
        if (const size_t at = layer.find(processor); at != std::string::npos) layer.erase(at + 1, processor.size() - 1);
        if (ending.stem.starts_with("_") && layer.ends_with(".to_out")) layer += ".0";
        return LoraKey{std::move(layer), ending.part, ending.stem.substr(1)};
    }
    return std::nullopt;
}

std::string_view other_tensor_kind(std::string_view name) {
    for (const std::string_view tail : {".weight", ".bias"}) {
        if (name.ends_with(tail)) name.remove_suffix(tail.size());
    }
    return name.substr(name.rfind('.') + 1);
}

std::string_view refused_adapter(std::string_view name, int n_dims) {
    if (std::ranges::any_of(glora, [&](std::string_view ending) { return name.ends_with(ending); })) return "GLoRA";
    // The end of the name, or what precedes the name of an adapter or `weight`.
    std::string_view rest = name;
    for (int i = 0; i < 3 && !rest.empty(); i++) {
        const size_t point = rest.rfind('.');
        const std::string_view part = point == std::string_view::npos ? rest : rest.substr(point + 1);
        for (const Mark & mark : refused) {
            if (part == mark.text) return mark.text == "oft_blocks" && n_dims > 3 ? "BOFT" : mark.kind;
        }
        rest = point == std::string_view::npos ? std::string_view() : rest.substr(0, point);
    }
    return {};
}

bool is_bundled_embedding(std::string_view name) {
    return name.starts_with("bundle_emb.");
}

} // namespace diffusion
