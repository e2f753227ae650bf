// See adapter.h.
#include "lora/adapter.h"

#include <algorithm>
#include <utility>

namespace diffusion {

namespace {

// y += the rows of b, each times its factor. Four at a time, so that y is read and written less often.
void add_rows(const Matrix & b, const float * factors, float scale, float * y) {
    int64_t m = 0;
    for (; m + 4 <= b.rows; m += 4) {
        const float f0 = scale * factors[m], f1 = scale * factors[m + 1], f2 = scale * factors[m + 2],
                    f3 = scale * factors[m + 3];
        const float *b0 = b.row(m), *b1 = b.row(m + 1), *b2 = b.row(m + 2), *b3 = b.row(m + 3);
        for (int64_t j = 0; j < b.columns; j++) y[j] += f0 * b0[j] + f1 * b1[j] + f2 * b2[j] + f3 * b3[j];
    }
    for (; m < b.rows; m++) {
        const float f = scale * factors[m];
        for (int64_t j = 0; j < b.columns; j++) y[j] += f * b.row(m)[j];
    }
}

class Lora : public RowDelta {
public:
    Lora(LowRank p, float scale) : p_(std::move(p)), scale_(scale) {}
    int64_t scratch() const override { return p_.scratch(); }
    void add(int64_t row, float * values, float * scratch) const noexcept override {
        p_.add_row(row, scale_, values, scratch);
    }

private:
    LowRank p_;
    float scale_;
};

class Hadamard : public RowDelta {
public:
    Hadamard(LowRank p, LowRank q, float scale) : p_(std::move(p)), q_(std::move(q)), scale_(scale) {}

    int64_t scratch() const override { return 2 * p_.columns() + std::max(p_.scratch(), q_.scratch()); }
    void add(int64_t row, float * values, float * scratch) const noexcept override {
        const int64_t n = p_.columns();
        float *a = scratch, *b = a + n, *rest = b + n;
        std::fill(a, rest, 0.0f);
        p_.add_row(row, scale_, a, rest);
        q_.add_row(row, 1, b, rest);
        for (int64_t j = 0; j < n; j++) values[j] += a[j] * b[j];
    }

private:
    LowRank p_, q_;
    float scale_;
};

class Kronecker : public RowDelta {
public:
    Kronecker(Matrix a, Matrix b, float scale) : a_(std::move(a)), b_(std::move(b)), scale_(scale) {}

    void add(int64_t row, float * values, float *) const noexcept override {
        const float * a = a_.row(row / b_.rows);
        const float * b = b_.row(row % b_.rows);
        for (int64_t i = 0; i < a_.columns; i++, values += b_.columns) {
            for (int64_t j = 0; j < b_.columns; j++) values[j] += scale_ * a[i] * b[j];
        }
    }

private:
    Matrix a_, b_;
    float scale_;
};

class Whole : public RowDelta {
public:
    Whole(Matrix difference, float scale) : difference_(std::move(difference)), scale_(scale) {}
    void add(int64_t row, float * values, float *) const noexcept override {
        const float * from = difference_.row(row);
        for (int64_t j = 0; j < difference_.columns; j++) values[j] += scale_ * from[j];
    }

private:
    Matrix difference_;
    float scale_;
};

class Sum : public RowDelta {
public:
    explicit Sum(std::vector<std::unique_ptr<RowDelta>> parts) : parts_(std::move(parts)) {}
    int64_t scratch() const override {
        int64_t most = 0;
        for (const auto & part : parts_) most = std::max(most, part->scratch());
        return most;
    }
    void add(int64_t row, float * values, float * scratch) const noexcept override {
        for (const auto & part : parts_) part->add(row, values, scratch);
    }

private:
    std::vector<std::unique_ptr<RowDelta>> parts_;
};

} // namespace

Matrix Matrix::transposed() const {
    Matrix t{columns, rows, std::vector<float>(values.size())};
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) t.values[j * rows + i] = values[i * columns + j];
    }
    return t;
}

bool LowRank::sound() const {
    return core.values.empty() ? a.columns == b.rows : a.columns == core.rows && core.columns == b.rows * taps;
}

void LowRank::add_row(int64_t row, float scale, float * values, float * scratch) const noexcept {
    if (core.values.empty()) return add_rows(b, a.row(row), scale, values);
    float * inner = scratch; // [b.rows, taps]
    std::fill_n(inner, core.columns, 0.0f);
    add_rows(core, a.row(row), scale, inner);
    for (int64_t m = 0; m < b.rows; m++) {
        for (int64_t j = 0; j < b.columns; j++) {
            const float factor = b.row(m)[j];
            for (int64_t tap = 0; tap < taps; tap++) values[j * taps + tap] += factor * inner[m * taps + tap];
        }
    }
}

Matrix LowRank::multiplied() const {
    Matrix result{rows(), columns(), std::vector<float>(rows() * columns())};
    std::vector<float> room(scratch());
    for (int64_t i = 0; i < rows(); i++) add_row(i, 1, result.values.data() + i * columns(), room.data());
    return result;
}

std::unique_ptr<RowDelta> lora_delta(LowRank p, float scale) {
    return std::make_unique<Lora>(std::move(p), scale);
}

std::unique_ptr<RowDelta> hadamard_delta(LowRank p, LowRank q, float scale) {
    return std::make_unique<Hadamard>(std::move(p), std::move(q), scale);
}

std::unique_ptr<RowDelta> kronecker_delta(Matrix a, Matrix b, float scale) {
    return std::make_unique<Kronecker>(std::move(a), std::move(b), scale);
}

std::unique_ptr<RowDelta> full_delta(Matrix difference, float scale) {
    return std::make_unique<Whole>(std::move(difference), scale);
}

std::unique_ptr<RowDelta> transposed_delta(const RowDelta & delta, int64_t rows, int64_t columns) {
    Matrix all{rows, columns, std::vector<float>(rows * columns)};
    std::vector<float> room(delta.scratch());
    for (int64_t i = 0; i < rows; i++) delta.add(i, all.values.data() + i * columns, room.data());
    return full_delta(all.transposed(), 1);
}

std::unique_ptr<RowDelta> sum_delta(std::vector<std::unique_ptr<RowDelta>> parts) {
    return std::make_unique<Sum>(std::move(parts));
}

} // namespace diffusion
