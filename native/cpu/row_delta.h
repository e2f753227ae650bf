// What is added to the weights of one matrix or kernel without changing the file's own.
#pragma once

#include <cstdint>

namespace diffusion {

// A row is what makes one output: [in] of a matrix, [in, height, width] of a kernel, as files have them.
class RowDelta {
public:
    virtual ~RowDelta() = default;
    // Numbers that add() needs room for beside the row.
    virtual int64_t scratch() const { return 0; }
    // Any thread. Takes no memory of its own, because it runs where nothing may fail.
    virtual void add(int64_t row, float * values, float * scratch) const noexcept = 0;
};

} // namespace diffusion
