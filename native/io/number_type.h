// How files store numbers: ggml's types, and those that only safetensors and PyTorch have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ggml.h"

namespace diffusion {

enum class NumberKind {
    floating, // also quantized
    integer,  // also booleans
    other,    // complex numbers and everything else that is not read
};

struct NumberType {
    std::string_view name; // safetensors' name in lower case, or ggml's: "f16", "f8_e4m3", "q4_k"
    NumberKind kind;
    int64_t block; // numbers stored together
    size_t block_bytes;
    ggml_type ggml;        // GGML_TYPE_COUNT if ggml has none
    ggml_to_float_t widen; // full blocks to f32, exactly except for f64 and large integers; nullptr for `other`
};

// The largest block size.
inline constexpr int64_t largest_block = 256;

const NumberType & number_type(ggml_type type);

// nullptr if there is none with that name.
const NumberType * find_number_type(std::string_view name);

} // namespace diffusion
