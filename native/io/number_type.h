// How files write numbers: in the types of ggml, and in those that safetensors and PyTorch have beside them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ggml.h"

namespace diffusion {

enum class NumberKind {
    floating, // also quantized
    integer,  // also truth values
    other,    // complex numbers and whatever else is not read
};

struct NumberType {
    std::string_view name; // that of safetensors in lower case, or ggml's: "f16", "f8_e4m3", "q4_k"
    NumberKind kind;
    int64_t block; // numbers that are stored together
    size_t block_bytes;
    ggml_type ggml;        // GGML_TYPE_COUNT where ggml has none
    ggml_to_float_t widen; // whole blocks to f32, exactly but for f64 and large integers; nullptr for `other`
};

// More numbers than any block has.
inline constexpr int64_t largest_block = 256;

const NumberType & number_type(ggml_type type);

// nullptr where there is none of that name.
const NumberType * find_number_type(std::string_view name);

} // namespace diffusion
