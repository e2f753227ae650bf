// A change to be added to a matrix or convolution weight, such as that of a LoRA.
#pragma once

#include <cstdint>
#include <vector>

namespace diffusion {

// y += scale a b, for `rows` rows: a [rows, inner], b [inner, columns], y [rows, columns], the columns contiguous.
using AddProduct = void (*)(float scale, const float * a, int64_t rows, int64_t inner, const float * b, int64_t columns,
                            float * y);

// On any processor. Kernels::add_product computes exactly the same, faster.
void add_product(float scale, const float * a, int64_t rows, int64_t inner, const float * b, int64_t columns,
                 float * y);

// A change of low rank: scale up down. up [rows, rank], down [rank, columns].
struct LowRankTerm {
    const float * up;
    const float * down;
    int64_t rank;
    float scale;
};

// A row has the weights of one output: [in] of a matrix, [in, height, width] of a convolution, as in files.
class RowDelta {
public:
    virtual ~RowDelta() = default;
    // Numbers of scratch space that add() needs.
    virtual int64_t scratch() const { return 0; }
    // Adds to `rows` contiguous rows of values, the first of which is row `first`. `product`: add_product(), or a
    // kernel. Any thread. Must not allocate, because its callers cannot handle failure.
    virtual void add(AddProduct product, int64_t first, int64_t rows, float * values,
                     float * scratch) const noexcept = 0;
    // Appends the products whose sum it is, which refer to its memory; false if it is not of low rank.
    virtual bool low_rank_terms(std::vector<LowRankTerm> &) const { return false; }
};

} // namespace diffusion
