// Reads the numbers of stored tensors as f32, whatever their form in the file.
#pragma once

#include <cstdint>
#include <vector>

#include "io/tensor_table.h"

namespace diffusion {

// Floating-point or quantized numbers, at least one, in no more dimensions than ggml supports.
bool has_numbers(const StoredTensor & tensor);

// One number, which may be an integer.
bool is_scalar(const StoredTensor & tensor);

// The functions below require has_numbers() or is_scalar().

// `count` numbers starting at index `first`, in the order of the shape, multiplied by their scale.
void read_numbers(const StoredTensor & tensor, int64_t first, int64_t count, float * values);

std::vector<float> read_all_numbers(const StoredTensor & tensor);

// Part `i` of a matrix or vector that consists of `parts` stacked ones; shares its bytes. False if `parts` does not
// divide its rows, or if a part would begin within a quantization block.
bool take_rows(const StoredTensor & tensor, int64_t i, int64_t parts, StoredTensor & part);

} // namespace diffusion
