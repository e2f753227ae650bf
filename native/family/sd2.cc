// Stable Diffusion 2: one text encoder, OpenCLIP; attention heads of 64 channels; often predicts v without saying so.
#include <algorithm>
#include <cmath>

#include "family/stable_diffusion.h"
#include "io/read_numbers.h"

namespace diffusion {

namespace {

// Between the deviations of the published epsilon and v models.
constexpr double least_v_deviation = 0.09;

// nullptr if there is none, or it is not readable.
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

// ComfyUI's heuristic: the biases of the last transformer's first norm spread wider in models that predict v.
std::string likely_prediction(const Model & model) {
    const TensorTable & table = model.tensors.table;
    const StoredTensor * bias = concat_variant(model).empty() ? last_transformer_bias(table) : nullptr;
    if (!bias) return "epsilon";
    const double spread = deviation(*bias);
    table.check_unchanged();
    return spread > least_v_deviation ? "v" : "epsilon";
}

} // namespace

const Family & sd2() {
    static const Family family = {
        .name = "sd2",
        .matches =
            [](const Model & model) { return model.unet && model.unet->vector_size == 0 && model.unet->head_size > 0; },
        .parts = {text_encoder_part("text encoder", {}), unet_part(), vae_part(), tiny_autoencoder_part()},
        .absent = absent_components(),
        .variant = concat_variant,
        .likely_prediction = likely_prediction,
        .require_fit = require_matching_sizes,
        .bind_control_net = bind_unet_control_net,
    };
    return family;
}

} // namespace diffusion
