// See type_choice.h.
#include "weights/type_choice.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "io/file_error.h"
#include "io/read_numbers.h"

namespace diffusion {

namespace {

// The row length that convolution weights are stored with, as in ComfyUI-GGUF's tools.
constexpr int64_t kernel_row = 256;

// Longer than any model's names; patterns are not tried on longer ones.
constexpr size_t longest_name = 512;

// For rows that are not full blocks of the first type: a type of smaller blocks with at least as many bits.
constexpr std::array<std::pair<ggml_type, ggml_type>, 6> smaller_blocks = {{
    {GGML_TYPE_Q2_K, GGML_TYPE_IQ4_NL},
    {GGML_TYPE_Q3_K, GGML_TYPE_IQ4_NL},
    {GGML_TYPE_IQ4_XS, GGML_TYPE_IQ4_NL},
    {GGML_TYPE_Q4_K, GGML_TYPE_Q5_0},
    {GGML_TYPE_Q5_K, GGML_TYPE_Q5_1},
    {GGML_TYPE_Q6_K, GGML_TYPE_Q8_0},
}};

const NumberType & type_named(const std::string & name) {
    return *find_number_type(name);
}

bool is_quantized(const NumberType & type) {
    return type.block > 1;
}

bool is_vector(const StoredTensor & stored) {
    return stored.n_dims < 2 || std::ranges::max(stored.ne) == stored.n_elements();
}

// libstdc++ has a second algorithm with bounded matching time, which does not support back-references.
std::regex compile(const std::string & pattern) {
    auto flags = std::regex::ECMAScript | std::regex::optimize;
#ifdef __GLIBCXX__
    flags |= std::regex_constants::__polynomial;
#endif
    try {
        return std::regex(pattern, flags);
    } catch (const std::regex_error & error) {
        throw Error(ErrorCode::invalid_argument,
                    "Expected an ECMAScript regular expression without back-references for a tensor type rule but "
                    "received " +
                        quote(pattern) + ": " + error.what());
    }
}

// By the name without the network's prefix: the first and last layers, and the embeddings.
bool is_outer_unet_layer(std::string_view local) {
    constexpr std::string_view beginnings[] = {
        "input_blocks.0.", "out.", "time_embed.", "label_emb.", "zero_convs.", "input_hint_block.", "middle_block_out.",
        // of Z-Image
        "x_embedder.", "t_embedder.", "cap_embedder.", "final_layer.", "x_pad_token", "cap_pad_token"};
    return std::ranges::any_of(beginnings, [&](std::string_view text) { return local.starts_with(text); });
}

} // namespace

const std::vector<std::string> & conversion_types() {
    static const std::vector<std::string> names = {"f32",  "f16",  "bf16", "q8_0", "q6_k", "q5_k",   "q5_1",  "q5_0",
                                                   "q4_k", "q4_1", "q4_0", "q3_k", "q2_k", "iq4_nl", "iq4_xs"};
    return names;
}

TypeChoice::TypeChoice(TensorFormat format, FileKind kind, const TypeRequest & request, bool keep_convolutions)
    : format_(format), kind_(kind), type_(request.type.empty() ? nullptr : &type_named(request.type)),
      keep_convolutions_(keep_convolutions) {
    for (const TypeRule & rule : request.rules) rules_.emplace_back(compile(rule.pattern), &type_named(rule.type));
}

Storage TypeChoice::operator()(const NamedTensor & tensor) const {
    const StoredTensor & stored = *tensor.stored;
    const auto refuse = [&](const std::string & why) {
        return Error(ErrorCode::model_unsupported,
                     "Expected tensors that can be converted, but " + quote(tensor.name) + why);
    };
    if (stored.n_dims > GGML_MAX_DIMS) throw refuse(" has more than 4 dimensions.");
    if (!has_numbers(stored) || is_noise_mark(tensor.canonical)) {
        if (!stored.type->widen) throw refuse(" has numbers of the type " + std::string(stored.type->name) + ".");
        return {&kept_type(stored)};
    }
    const auto matches = [&](const auto & rule) {
        return tensor.name.size() <= longest_name && std::regex_search(tensor.name, rule.first);
    };
    const auto rule = std::ranges::find_if(rules_, matches);
    const NumberType * wanted = rule == rules_.end() ? type_ : rule->second;
    if (!wanted) return {&kept_type(stored)};
    if (!is_quantized(*wanted)) return {wanted};
    if (is_vector(stored) || (rule == rules_.end() && is_sensitive(tensor))) return {&kept_type(stored)};
    return quantized(stored, *wanted);
}

bool TypeChoice::format_has(const NumberType & type) const {
    if (format_ == TensorFormat::gguf) return type.ggml != GGML_TYPE_COUNT;
    return type.block == 1; // safetensors has names for all other types
}

// The tensor's own type if the format has it, except that matrices and convolutions of wider types become f16 when
// converting; otherwise f16 or f32.
const NumberType & TypeChoice::kept_type(const StoredTensor & stored) const {
    const NumberType & type = *stored.type;
    const bool converted = stored.strided || !stored.scales.empty();
    if (stored.n_elements() == 0 || type.kind != NumberKind::floating) {
        return format_has(type) && !converted ? type : number_type(GGML_TYPE_F32);
    }
    const bool wide = type.block == 1 && type.block_bytes > 2;
    if (type_ && wide && !is_vector(stored)) return number_type(GGML_TYPE_F16);
    const bool writable = type.ggml == GGML_TYPE_F32 || type.ggml == GGML_TYPE_F16 || type.ggml == GGML_TYPE_BF16;
    if (format_has(type) && (!converted || (writable && stored.scales.empty()))) return type;
    return number_type(wide ? GGML_TYPE_F32 : GGML_TYPE_F16);
}

Storage TypeChoice::quantized(const StoredTensor & stored, const NumberType & type) const {
    const int64_t n = stored.n_elements();
    if (stored.ne[0] % type.block == 0) return {&type};
    const bool kernel = stored.n_dims > 2;
    if (kernel && !keep_convolutions_ && n % kernel_row == 0) return {&type, kernel_row};
    const auto found = std::ranges::find(smaller_blocks, type.ggml, &std::pair<ggml_type, ggml_type>::first);
    if (found == smaller_blocks.end()) return {&kept_type(stored)};
    return quantized(stored, number_type(found->second));
}

// Tensors whose quantization harms images most and saves few bytes.
bool TypeChoice::is_sensitive(const NamedTensor & tensor) const {
    const std::string_view name = tensor.canonical;
    const auto without = [&](std::string_view prefix) {
        return name.substr(name.starts_with(prefix) ? prefix.size() : 0);
    };
    switch (kind_) {
        case FileKind::lora:
        case FileKind::unknown: return false;
        case FileKind::model:
        case FileKind::control_net: break;
        default: return true;
    }
    switch (tensor.component) {
        case ModelPart::unet: return is_outer_unet_layer(without(unet_prefix));
        case ModelPart::language_model: return false;
        case ModelPart::control_net: return is_outer_unet_layer(without(control_prefix));
        case ModelPart::text_encoder:
        case ModelPart::text_encoder_2:
            return name.find("embeddings.") != name.npos || name.find("text_projection") != name.npos;
        default: return true;
    }
}

void convert_tensors(ModelTensors & tensors, const Source & source, const TypeRequest & request) {
    if (request.type.empty() && request.rules.empty()) return;
    const TypeChoice choose(TensorFormat::gguf, file_kind(tensors.table), request, false);
    const bool alone = is_file_alone(source);
    for (size_t i = 0; i < tensors.origins.size(); i++) {
        const StoredTensor & stored = tensors.table.tensors()[i];
        if (!has_numbers(stored)) continue;
        const auto & [name, component] = tensors.origins[i];
        const NumberType & type =
            *choose({alone ? name : converted_name(stored.name), stored.name, component, &stored}).type;
        if (!stored.is_plain() || stored.type != &type) tensors.table.convert(i, type);
    }
}

} // namespace diffusion
