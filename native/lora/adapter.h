// The low-rank forms in which adapters store their changes to a weight, each as a RowDelta.
#pragma once

#include <memory>
#include <vector>

#include "cpu/row_delta.h"

namespace diffusion {

// [rows, columns], the columns contiguous.
struct Matrix {
    int64_t rows = 0, columns = 0;
    std::vector<float> values;

    const float * row(int64_t i) const { return values.data() + i * columns; }
    Matrix transposed() const;
};

// a b; or, with a core, the Tucker form of a kernel: sum over n and m of a[out, n] core[n, m, tap] b[m, in].
struct LowRank {
    Matrix a, b, core;
    int64_t taps = 1; // of the core: b.rows * taps columns

    int64_t rows() const { return a.rows; }
    int64_t columns() const { return b.columns * taps; }
    // Whether the inner sizes match.
    bool sound() const;
    // Numbers of scratch space that add_rows() needs.
    int64_t scratch() const { return core.columns; }
    // Adds `scale` times `n` rows, starting at row `first`; see RowDelta.
    void add_rows(AddProduct product, int64_t first, int64_t n, float scale, float * values,
                  float * scratch) const noexcept;
    Matrix multiplied() const;
};

// scale * p: LoRA (Hu et al. 2021) and, for kernels, LoCon.
std::unique_ptr<RowDelta> lora_delta(LowRank p, float scale);
// scale * (p o q), element by element: LoHa (Hyeon-Woo et al. 2021, FedPara).
std::unique_ptr<RowDelta> hadamard_delta(LowRank p, LowRank q, float scale);
// scale * the Kronecker product of a [out1, in1] and b [out2, in2 * taps]: LoKr (Yeh et al. 2023, LyCORIS).
std::unique_ptr<RowDelta> kronecker_delta(Matrix a, Matrix b, float scale);
// scale * a full difference.
std::unique_ptr<RowDelta> full_delta(Matrix difference, float scale);
// The transpose of `delta`, which is for `rows` rows of `columns` numbers.
std::unique_ptr<RowDelta> transposed_delta(const RowDelta & delta, int64_t rows, int64_t columns);
// The rows of `delta` from `first` on.
std::unique_ptr<RowDelta> rows_delta(std::shared_ptr<const RowDelta> delta, int64_t first);
std::unique_ptr<RowDelta> sum_delta(std::vector<std::unique_ptr<RowDelta>> parts);

} // namespace diffusion
