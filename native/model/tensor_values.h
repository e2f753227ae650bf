// The numbers of stored tensors in f32, for small files that are read as a whole.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cancellation.h"
#include "io/tensor_table.h"

namespace diffusion {

// Floating-point or quantized numbers, at least one, of a type that ggml converts.
bool has_values(const StoredTensor & tensor);

// has_values() must hold.
std::vector<float> read_values(const StoredTensor & tensor);

struct FloatTensor {
    std::string name;
    std::vector<int64_t> shape; // the slowest dimension first
    std::vector<float> values;
};

// Every tensor of a file that has values, in the file's order; others are left out. Throws Error: that of TensorTable::open, and
// model_unsupported for more than `most_values`.
std::vector<FloatTensor> read_tensors(const std::string & path, int64_t most_values, const Cancellation & cancellation);

} // namespace diffusion
