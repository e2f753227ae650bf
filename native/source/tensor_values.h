// Small tensor files that are read completely.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cancellation.h"

namespace diffusion {

struct FloatTensor {
    std::string name;
    std::vector<int64_t> shape; // the slowest dimension first
    std::vector<float> values;
};

// Every tensor of a file that has_numbers() and a name that begins with `prefix`, in the file's order; others are
// omitted. Throws Error: that of TensorTable::open, and model_unsupported for more than `most_values`.
std::vector<FloatTensor> read_tensors(const std::string & path, int64_t most_values, const std::string & prefix,
                                      const Cancellation & cancellation);

} // namespace diffusion
