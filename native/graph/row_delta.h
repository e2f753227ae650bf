// What is added to the weights of one matrix or kernel without changing the file's own.
#pragma once

#include <cstdint>

#include "ggml.h"

namespace diffusion {

// A row is what makes one output: [in] of a matrix, [in, height, width] of a kernel, as files have them.
class RowDelta {
public:
    virtual ~RowDelta() = default;
    // Any thread.
    virtual void add(int64_t row, float * values) const = 0;
};

// Row `row` of weights of any floating-point or quantized type, plus `delta` unless it is nullptr. `data` is where the row
// begins, aligned for its type.
void read_row(ggml_type type, const uint8_t * data, int64_t length, const RowDelta * delta, int64_t row,
              float * values);

} // namespace diffusion
