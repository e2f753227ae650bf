// The numbers of stored tensors in f32, however the file has them.
#pragma once

#include <cstdint>
#include <vector>

#include "io/tensor_table.h"

namespace diffusion {

// Floating-point or quantized numbers, at least one, in no more dimensions than ggml has.
bool has_numbers(const StoredTensor & tensor);

// One number, which may be an integer.
bool is_scalar(const StoredTensor & tensor);

// What is below needs one of the two.

// `count` numbers from the one of index `first` on, in the order of the shape: times their scale.
void read_numbers(const StoredTensor & tensor, int64_t first, int64_t count, float * values);

std::vector<float> read_all_numbers(const StoredTensor & tensor);

// Of a matrix or vector that is several on top of each other, part `i` of `parts`, which shares its bytes. The number of parts must
// divide its rows; false where it does not, or where a part would begin within a quantization block.
bool take_rows(const StoredTensor & tensor, int64_t i, int64_t parts, StoredTensor & part);

} // namespace diffusion
