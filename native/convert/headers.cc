// See headers.h.
#include "convert/headers.h"

#include <algorithm>
#include <cctype>

#include "nlohmann/json.hpp"

namespace diffusion {

namespace {

constexpr uint32_t gguf_version = 3;
// The version of ggml's block layouts.
constexpr uint32_t quantization_version = 2;
// GGUF's value types.
constexpr uint32_t type_u32 = 4, type_i32 = 5, type_string = 8, type_array = 9;

template <typename T> void put(std::string & bytes, T value) {
    for (size_t i = 0; i < sizeof value; i++) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
}

void put_text(std::string & bytes, const std::string & text) {
    put(bytes, static_cast<uint64_t>(text.size()));
    bytes += text;
}

std::vector<uint64_t> original_shape(const StoredTensor & stored) {
    return {stored.ne, stored.ne + stored.n_dims};
}

// Invalid UTF-8 becomes the replacement character.
std::string text_of(const nlohmann::json & value) {
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string upper_case(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

} // namespace

std::vector<uint64_t> PlannedTensor::shape() const {
    if (storage.row == 0) return original_shape(*tensor->stored);
    return {static_cast<uint64_t>(storage.row), static_cast<uint64_t>(tensor->stored->n_elements() / storage.row)};
}

uint64_t PlannedTensor::bytes() const {
    return static_cast<uint64_t>(tensor->stored->n_elements() / storage.type->block) * storage.type->block_bytes;
}

std::string gguf_header(const std::vector<PlannedTensor> & tensors, const Metadata & metadata,
                        const std::string & architecture) {
    std::string values;
    uint64_t n_values = 0;
    const auto put_key = [&](const std::string & key, uint32_t type) {
        n_values++;
        put_text(values, key);
        put(values, type);
    };
    const auto put_string = [&](const std::string & key, const std::string & text) {
        put_key(key, type_string);
        put_text(values, text);
    };
    if (!architecture.empty()) put_string("general.architecture", architecture);
    put_key("general.quantization_version", type_u32);
    put(values, quantization_version);
    for (const auto & [key, text] : metadata) put_string(key, text);

    std::string infos;
    uint64_t offset = 0;
    for (const PlannedTensor & planned : tensors) {
        const std::string & name = planned.tensor->name;
        if (planned.storage.row > 0) {
            const std::vector<uint64_t> shape = original_shape(*planned.tensor->stored);
            put_key("comfy.gguf.orig_shape." + name, type_array);
            put(values, type_i32);
            put(values, static_cast<uint64_t>(shape.size()));
            for (auto axis = shape.rbegin(); axis != shape.rend(); axis++) put(values, static_cast<uint32_t>(*axis));
        }
        put_text(infos, name);
        const std::vector<uint64_t> shape = planned.shape();
        put(infos, static_cast<uint32_t>(shape.size()));
        for (const uint64_t axis : shape) put(infos, axis);
        put(infos, static_cast<uint32_t>(planned.storage.type->ggml));
        put(infos, offset);
        offset += GGML_PAD(planned.bytes(), gguf_alignment);
    }
    std::string header = "GGUF";
    put(header, gguf_version);
    put(header, static_cast<uint64_t>(tensors.size()));
    put(header, n_values);
    header += values + infos;
    header.resize(GGML_PAD(header.size(), gguf_alignment));
    return header;
}

std::string safetensors_header(const std::vector<PlannedTensor> & tensors, const Metadata & metadata) {
    // Composed by hand, because the library's ordered object searches linearly for every key.
    std::string json = "{";
    const auto put_entry = [&](const std::string & key, const nlohmann::json & value) {
        json += (json.size() > 1 ? "," : "") + text_of(key) + ":" + text_of(value);
    };
    if (!metadata.empty()) put_entry("__metadata__", metadata);
    uint64_t offset = 0;
    for (const PlannedTensor & planned : tensors) {
        std::vector<uint64_t> shape = planned.shape();
        std::ranges::reverse(shape);
        const uint64_t end = offset + planned.bytes();
        put_entry(planned.tensor->name, {{"dtype", upper_case(std::string(planned.storage.type->name))},
                                         {"shape", shape},
                                         {"data_offsets", {offset, end}}});
        offset = end;
    }
    json += "}";
    json.resize(GGML_PAD(json.size(), size_t{8}), ' ');
    std::string bytes;
    put(bytes, static_cast<uint64_t>(json.size()));
    return bytes + json;
}

} // namespace diffusion
