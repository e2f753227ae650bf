// A change to be added to a matrix or convolution weight, such as that of a LoRA.
#pragma once

#include <cstdint>

namespace diffusion {

// A row has the weights of one output: [in] of a matrix, [in, height, width] of a convolution, as in files.
class RowDelta {
public:
    virtual ~RowDelta() = default;
    // Numbers of scratch space that add() needs.
    virtual int64_t scratch() const { return 0; }
    // Any thread. Must not allocate, because its callers cannot handle failure.
    virtual void add(int64_t row, float * values, float * scratch) const noexcept = 0;
};

} // namespace diffusion
