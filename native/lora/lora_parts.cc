// See lora_parts.h.
#include "lora/lora_parts.h"

#include <algorithm>
#include <cmath>

#include "io/file_error.h"
#include "io/read_numbers.h"

namespace diffusion {

namespace {

// [rows, columns]: the slowest dimension and all others.
Matrix read_matrix(const StoredTensor & tensor, const std::string & path) {
    if (!has_numbers(tensor) && !is_scalar(tensor)) {
        throw unsupported_file(path, "expected floating-point numbers in at most " + std::to_string(GGML_MAX_DIMS) +
                                         " dimensions, found " + std::to_string(tensor.n_elements()) + " of the type " +
                                         std::string(tensor.type->name) + " in " + std::to_string(tensor.n_dims) +
                                         " dimensions in " + quote(tensor.name));
    }
    Matrix matrix;
    matrix.rows = tensor.n_dims > 0 ? tensor.ne[std::min(tensor.n_dims, GGML_MAX_DIMS) - 1] : 1;
    matrix.columns = tensor.n_elements() / matrix.rows;
    matrix.values = read_all_numbers(tensor);
    return matrix;
}

int64_t taps_of(const StoredTensor & core) {
    return core.ne[0] * core.ne[1];
}

bool is_of_bias(LoraPart part) {
    return part == LoraPart::bias_diff || part == LoraPart::up_bias;
}

} // namespace

void LoraParts::add(const LoraKey & key, const StoredTensor & tensor) {
    if (tensors_.emplace(key.part, &tensor).second) return;
    throw corrupt_file(path_, "the adapter of " + quote(layer_) + " has two tensors for one of its parts, " +
                                  quote(tensors_.at(key.part)->name) + " and " + quote(tensor.name) +
                                  "; a file may hold only one adapter");
}

int64_t LoraParts::numbers() const {
    int64_t sum = 0;
    for (const auto & [part, tensor] : tensors_) sum += tensor->n_elements();
    return sum;
}

LoraParts::Deltas LoraParts::deltas(const LoraLayer & layer, double strength, const PeftConfigs & peft) const {
    Deltas deltas;
    if (layer.has_weight()) {
        int64_t rows = layer.rows(), columns = layer.columns();
        if (layer.transposed) std::swap(rows, columns);
        auto & to = deltas.weight;
        if (has_from(LoraPart::up, LoraPart::up_bias)) to.push_back(low_rank(rows, columns, strength, peft));
        if (has_from(LoraPart::hada_w1_a, LoraPart::hada_t2)) to.push_back(hadamard(rows, columns, strength, peft));
        if (has_from(LoraPart::lokr_w1, LoraPart::lokr_t2)) to.push_back(kronecker(rows, columns, strength, peft));
        if (has_from(LoraPart::embedding_a, LoraPart::embedding_b)) {
            to.push_back(embedding(rows, columns, strength, peft));
        }
        if (has(LoraPart::diff)) to.push_back(full(LoraPart::diff, rows, columns, strength));
        if (layer.transposed) {
            for (auto & delta : to) delta = transposed_delta(*delta, rows, columns);
        }
    }
    if (layer.bias) {
        const int64_t length = ggml_nelements(layer.bias->tensor);
        if (has(LoraPart::up_bias)) {
            const double rank = static_cast<double>(matrix(LoraPart::down).rows);
            deltas.bias.push_back(full(LoraPart::up_bias, 1, length, strength * scale(rank, peft)));
        }
        if (has(LoraPart::bias_diff)) deltas.bias.push_back(full(LoraPart::bias_diff, 1, length, strength));
    }
    if (tensors_.size() == 1 && has(LoraPart::alpha)) throw missing_part();
    for (const auto & [part, tensor] : tensors_) {
        if (!(is_of_bias(part) ? layer.bias != nullptr : layer.has_weight())) deltas.left.push_back(tensor);
    }
    return deltas;
}

bool LoraParts::has_from(LoraPart first, LoraPart last) const {
    const auto found = tensors_.lower_bound(first);
    return found != tensors_.end() && found->first <= last;
}

const StoredTensor & LoraParts::tensor(LoraPart part) const {
    const auto found = tensors_.find(part);
    if (found == tensors_.end()) throw missing_part();
    return *found->second;
}

Error LoraParts::missing_part() const {
    return incomplete_file(path_, "a tensor of the adapter of " + quote(layer_) + " is missing");
}

Matrix LoraParts::matrix(LoraPart part) const {
    return read_matrix(tensor(part), path_);
}

void LoraParts::require_shape(int64_t have_rows, int64_t have_columns, int64_t rows, int64_t columns) const {
    if (have_rows == rows && have_columns == columns) return;
    const auto shape = [](int64_t r, int64_t c) { return "[" + std::to_string(r) + ", " + std::to_string(c) + "]"; };
    throw Error(ErrorCode::model_mismatch, quote(path_) + ": expected an adapter of shape " + shape(rows, columns) +
                                               " for the layer " + quote(layer_) + ", found " +
                                               shape(have_rows, have_columns) +
                                               ". It was made for another model family.");
}

void LoraParts::require_sound(const LowRank & p) const {
    if (!p.sound()) throw corrupt_file(path_, "the ranks of the adapter of " + quote(layer_) + " differ");
}

// alpha / rank, or 1 if there is no alpha. A `rank` of 0 means full factors; only PEFT's have an alpha.
double LoraParts::scale(double rank, const PeftConfigs & peft) const {
    if (has(LoraPart::alpha)) {
        const auto alpha = matrix(LoraPart::alpha).values;
        if (alpha.size() != 1 || !std::isfinite(alpha.front())) {
            throw corrupt_file(path_,
                               "the alpha of the adapter of " + quote(layer_) + " is not a single finite number");
        }
        return rank > 0 ? alpha.front() / rank : 1;
    }
    std::string_view local;
    const PeftConfig & config = peft.of(layer_, local);
    const double alpha = config.alpha_of(local);
    if (rank == 0) rank = config.rank_of(local);
    if (alpha == 0 || rank == 0) return 1;
    return alpha / (config.rank_stabilized ? std::sqrt(rank) : rank);
}

std::unique_ptr<RowDelta> LoraParts::low_rank(int64_t rows, int64_t columns, double strength,
                                              const PeftConfigs & peft) const {
    LowRank p{matrix(LoraPart::up), matrix(LoraPart::down), {}};
    const auto rank = static_cast<double>(p.b.rows);
    if (has(LoraPart::mid)) {
        p.core = matrix(LoraPart::mid);
        p.taps = taps_of(tensor(LoraPart::mid));
    }
    require_sound(p);
    require_shape(p.rows(), p.columns(), rows, columns);
    return lora_delta(std::move(p), static_cast<float>(strength * scale(rank, peft)));
}

// A factor of LoHa or LoKr; its Tucker form has the rank first in both matrices.
LowRank LoraParts::factor(LoraPart a, LoraPart b, LoraPart core) const {
    LowRank p{matrix(a), matrix(b), {}};
    if (has(core)) {
        p.a = p.a.transposed();
        p.core = matrix(core);
        p.taps = taps_of(tensor(core));
    }
    require_sound(p);
    return p;
}

std::unique_ptr<RowDelta> LoraParts::hadamard(int64_t rows, int64_t columns, double strength,
                                              const PeftConfigs & peft) const {
    LowRank p = factor(LoraPart::hada_w1_a, LoraPart::hada_w1_b, LoraPart::hada_t1);
    LowRank q = factor(LoraPart::hada_w2_a, LoraPart::hada_w2_b, LoraPart::hada_t2);
    for (const LowRank * one : {&p, &q}) require_shape(one->rows(), one->columns(), rows, columns);
    const double s = strength * scale(static_cast<double>(p.b.rows), peft);
    return hadamard_delta(std::move(p), std::move(q), static_cast<float>(s));
}

// A factor of LoKr, full or as a product; `rank` is set if it is one.
Matrix LoraParts::kronecker_factor(LoraPart full, LoraPart a, LoraPart b, LoraPart core, int64_t rows, int64_t columns,
                                   double & rank) const {
    if (has(full)) return matrix(full);
    const LowRank p = factor(a, b, core);
    rank = static_cast<double>(p.b.rows);
    // It is multiplied out below, so it must not be larger than its target.
    if (p.rows() > rows || p.columns() > columns) require_shape(p.rows(), p.columns(), rows, columns);
    return p.multiplied();
}

std::unique_ptr<RowDelta> LoraParts::kronecker(int64_t rows, int64_t columns, double strength,
                                               const PeftConfigs & peft) const {
    double rank = 0;
    // The first factor has no core; lokr_w1 as its `core` is never set here.
    Matrix a = kronecker_factor(LoraPart::lokr_w1, LoraPart::lokr_w1_a, LoraPart::lokr_w1_b, LoraPart::lokr_w1, rows,
                                columns, rank);
    Matrix b = kronecker_factor(LoraPart::lokr_w2, LoraPart::lokr_w2_a, LoraPart::lokr_w2_b, LoraPart::lokr_t2, rows,
                                columns, rank);
    require_shape(a.rows * b.rows, a.columns * b.columns, rows, columns);
    return kronecker_delta(std::move(a), std::move(b), static_cast<float>(strength * scale(rank, peft)));
}

// PEFT's form for an embedding table, [rows, columns]: the transpose of b a.
std::unique_ptr<RowDelta> LoraParts::embedding(int64_t rows, int64_t columns, double strength,
                                               const PeftConfigs & peft) const {
    LowRank p{matrix(LoraPart::embedding_a).transposed(), matrix(LoraPart::embedding_b).transposed(), {}};
    require_sound(p);
    require_shape(p.rows(), p.columns(), rows, columns);
    const double s = strength * scale(static_cast<double>(p.b.rows), peft);
    return lora_delta(std::move(p), static_cast<float>(s));
}

std::unique_ptr<RowDelta> LoraParts::full(LoraPart part, int64_t rows, int64_t columns, double strength) const {
    Matrix difference = matrix(part);
    const bool one_row = rows == 1 && static_cast<int64_t>(difference.values.size()) == columns;
    if (!one_row) require_shape(difference.rows, difference.columns, rows, columns);
    difference.rows = rows;
    difference.columns = columns;
    return full_delta(std::move(difference), static_cast<float>(strength));
}

} // namespace diffusion
