// See adapter.h.
#include "lora/adapter.h"

#include <algorithm>
#include <utility>

namespace diffusion {

namespace {

class Lora : public RowDelta {
public:
    Lora(LowRank p, float scale) : p_(std::move(p)), scale_(scale) {}
    int64_t scratch() const override { return p_.scratch(); }
    void add(AddProduct product, int64_t first, int64_t rows, float * values, float * scratch) const noexcept override {
        p_.add_rows(product, first, rows, scale_, values, scratch);
    }
    bool low_rank_terms(std::vector<LowRankTerm> & terms) const override {
        if (!p_.core.values.empty()) return false; // of a kernel
        terms.push_back({p_.a.values.data(), p_.b.values.data(), p_.b.rows, scale_});
        return true;
    }

private:
    LowRank p_;
    float scale_;
};

class Hadamard : public RowDelta {
public:
    Hadamard(LowRank p, LowRank q, float scale) : p_(std::move(p)), q_(std::move(q)), scale_(scale) {}

    int64_t scratch() const override { return 2 * p_.columns() + std::max(p_.scratch(), q_.scratch()); }
    void add(AddProduct product, int64_t first, int64_t rows, float * values, float * scratch) const noexcept override {
        const int64_t n = p_.columns();
        float *a = scratch, *b = a + n, *rest = b + n;
        for (int64_t row = first; row < first + rows; row++, values += n) {
            std::fill(a, rest, 0.0f);
            p_.add_rows(product, row, 1, scale_, a, rest);
            q_.add_rows(product, row, 1, 1, b, rest);
            for (int64_t j = 0; j < n; j++) values[j] += a[j] * b[j];
        }
    }

private:
    LowRank p_, q_;
    float scale_;
};

class Kronecker : public RowDelta {
public:
    Kronecker(Matrix a, Matrix b, float scale) : a_(std::move(a)), b_(std::move(b)), scale_(scale) {}

    void add(AddProduct, int64_t first, int64_t rows, float * values, float *) const noexcept override {
        for (int64_t row = first; row < first + rows; row++) {
            const float * a = a_.row(row / b_.rows);
            const float * b = b_.row(row % b_.rows);
            for (int64_t i = 0; i < a_.columns; i++, values += b_.columns) {
                for (int64_t j = 0; j < b_.columns; j++) values[j] += scale_ * a[i] * b[j];
            }
        }
    }

private:
    Matrix a_, b_;
    float scale_;
};

class Whole : public RowDelta {
public:
    Whole(Matrix difference, float scale) : difference_(std::move(difference)), scale_(scale) {}
    void add(AddProduct, int64_t first, int64_t rows, float * values, float *) const noexcept override {
        const float * from = difference_.row(first);
        for (int64_t i = 0; i < rows * difference_.columns; i++) values[i] += scale_ * from[i];
    }

private:
    Matrix difference_;
    float scale_;
};

class Rows : public RowDelta {
public:
    Rows(std::shared_ptr<const RowDelta> delta, int64_t first) : delta_(std::move(delta)), first_(first) {}
    int64_t scratch() const override { return delta_->scratch(); }
    void add(AddProduct product, int64_t first, int64_t rows, float * values, float * scratch) const noexcept override {
        delta_->add(product, first_ + first, rows, values, scratch);
    }
    bool low_rank_terms(std::vector<LowRankTerm> & terms) const override {
        const size_t before = terms.size();
        if (!delta_->low_rank_terms(terms)) return false;
        for (size_t i = before; i < terms.size(); i++) terms[i].up += first_ * terms[i].rank;
        return true;
    }

private:
    std::shared_ptr<const RowDelta> delta_;
    int64_t first_;
};

class Sum : public RowDelta {
public:
    explicit Sum(std::vector<std::unique_ptr<RowDelta>> parts) : parts_(std::move(parts)) {}
    int64_t scratch() const override {
        int64_t most = 0;
        for (const auto & part : parts_) most = std::max(most, part->scratch());
        return most;
    }
    void add(AddProduct product, int64_t first, int64_t rows, float * values, float * scratch) const noexcept override {
        for (const auto & part : parts_) part->add(product, first, rows, values, scratch);
    }
    bool low_rank_terms(std::vector<LowRankTerm> & terms) const override {
        return std::ranges::all_of(parts_, [&](const auto & part) { return part->low_rank_terms(terms); });
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

void LowRank::add_rows(AddProduct product, int64_t first, int64_t n, float scale, float * values,
                       float * scratch) const noexcept {
    if (core.values.empty()) {
        return product(scale, a.row(first), n, a.columns, b.values.data(), b.columns, values);
    }
    float * inner = scratch; // [b.rows, taps]
    for (int64_t row = first; row < first + n; row++, values += columns()) {
        std::fill_n(inner, core.columns, 0.0f);
        product(scale, a.row(row), 1, core.rows, core.values.data(), core.columns, inner);
        for (int64_t m = 0; m < b.rows; m++) {
            for (int64_t j = 0; j < b.columns; j++) {
                const float factor = b.row(m)[j];
                for (int64_t tap = 0; tap < taps; tap++) values[j * taps + tap] += factor * inner[m * taps + tap];
            }
        }
    }
}

Matrix LowRank::multiplied() const {
    Matrix result{rows(), columns(), std::vector<float>(rows() * columns())};
    std::vector<float> room(scratch());
    add_rows(add_product, 0, rows(), 1, result.values.data(), room.data());
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
    delta.add(add_product, 0, rows, all.values.data(), room.data());
    return full_delta(all.transposed(), 1);
}

std::unique_ptr<RowDelta> rows_delta(std::shared_ptr<const RowDelta> delta, int64_t first) {
    return std::make_unique<Rows>(std::move(delta), first);
}

std::unique_ptr<RowDelta> sum_delta(std::vector<std::unique_ptr<RowDelta>> parts) {
    return std::make_unique<Sum>(std::move(parts));
}

} // namespace diffusion
