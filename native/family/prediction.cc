// See prediction.h.
#include "family/prediction.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "io/mapped_file.h"
#include "io/read_numbers.h"
#include "names/names.h"

namespace diffusion {

namespace {

// Between those of the published models.
constexpr double least_v_deviation = 0.09;

// nullptr where there is none that can be read.
const StoredTensor * last_transformer_bias(const TensorTable & table) {
    const std::string prefix = std::string(unet_prefix) + "output_blocks.";
    const std::string suffix = ".1.transformer_blocks.0.norm1.bias";
    for (int i = 63; i >= 0; i--) {
        const StoredTensor * tensor = table.find(prefix + std::to_string(i) + suffix);
        if (!tensor) continue;
        constexpr int64_t most = 1 << 20;
        const bool readable = has_numbers(*tensor) && tensor->n_dims == 1 && tensor->n_elements() <= most;
        return readable ? tensor : nullptr;
    }
    return nullptr;
}

double deviation(const StoredTensor & tensor) {
    const auto n = static_cast<double>(tensor.n_elements());
    double sum = 0, squares = 0;
    for (const float x : read_all_numbers(tensor)) sum += x, squares += double{x} * x;
    return std::sqrt(std::max(squares / n - sum / n * (sum / n), 0.0));
}

} // namespace

std::string likely_prediction(const TensorTable & table, const std::string & family) {
    const StoredTensor * bias = family == "sd2" ? last_transformer_bias(table) : nullptr;
    if (!bias) return "epsilon";
    const double spread = deviation(*bias);
    table.check_unchanged();
    return spread > least_v_deviation ? "v" : "epsilon";
}

} // namespace diffusion
