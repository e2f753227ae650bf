// See scales.h.
#include "io/scales.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string_view>
#include <unordered_map>

#include "io/file_error.h"
#include "io/read_numbers.h"

namespace diffusion {

namespace {

enum class Role { scale, input_scale, description, marker };

struct Ending {
    std::string_view text;
    Role role;
};

// After the name of a layer.
constexpr std::array<Ending, 6> endings = {{
    {".scale_weight", Role::scale},
    {".weight_scale", Role::scale},
    {".scale_input", Role::input_scale},
    {".input_scale", Role::input_scale},
    {".comfy_quant", Role::description},
    {".scaled_fp8", Role::marker},
}};

const Ending * ending_of(std::string_view name) {
    const auto found = std::ranges::find_if(endings, [&](const Ending & e) { return name.ends_with(e.text); });
    if (found != endings.end()) return &*found;
    return name == "scaled_fp8" ? &endings.back() : nullptr;
}

void set_scale(StoredTensor & weight, const StoredTensor & scale, const std::string & path) {
    const int64_t rows = weight.n_dims > 0 ? weight.ne[std::min(weight.n_dims, GGML_MAX_DIMS) - 1] : 1;
    const std::string what = "tensor " + quote(scale.name);
    const auto axes = std::span(scale.ne).first(static_cast<size_t>(std::clamp(scale.n_dims, 1, GGML_MAX_DIMS)));
    const bool fits =
        scale.n_elements() == 1 || (scale.n_elements() == rows && (axes.size() == 1 || axes.back() == rows));
    if (!has_numbers(scale) || !fits) {
        throw unsupported_file(path, what + " has " + std::to_string(scale.n_elements()) + " scales of the type " +
                                         std::string(scale.type->name) + " for " + std::to_string(rows) +
                                         " rows; expected one, or one for each row, of a floating-point type. Block "
                                         "scales are not supported; convert the file to f16");
    }
    if (!weight.scales.empty()) throw corrupt_file(path, what + " is a second scale of " + quote(weight.name));
    weight.scales = read_all_numbers(scale);
    if (!std::ranges::all_of(weight.scales, [](float s) { return std::isfinite(s); })) {
        throw corrupt_file(path, what + " is not a finite number");
    }
}

} // namespace

bool apply_scales(std::vector<StoredTensor> & tensors, const std::string & path) {
    const auto is_about_scales = [](const StoredTensor & tensor) { return ending_of(tensor.name) != nullptr; };
    if (std::ranges::none_of(tensors, is_about_scales)) return false;
    std::unordered_map<std::string_view, StoredTensor *> by_name;
    for (StoredTensor & tensor : tensors) by_name.emplace(tensor.name, &tensor);
    std::vector<bool> done(tensors.size());
    for (size_t i = 0; i < tensors.size(); i++) {
        const StoredTensor & tensor = tensors[i];
        const Ending * ending = ending_of(tensor.name);
        if (!ending) continue;
        if (ending->role == Role::marker) {
            done[i] = tensor.n_elements() <= 2; // a second element says that products may use 8 bits too
            continue;
        }
        const auto layer = tensor.name.substr(0, tensor.name.size() - ending->text.size());
        const auto weight = by_name.find(layer + ".weight");
        // A scale is kept, and later reported as unused, if its weight is missing or has no readable numbers.
        if (weight == by_name.end() || !has_numbers(*weight->second)) continue;
        if (ending->role == Role::scale) set_scale(*weight->second, tensor, path);
        done[i] = true;
    }
    size_t kept = 0;
    for (size_t i = 0; i < tensors.size(); i++) {
        if (done[i]) continue;
        if (kept != i) tensors[kept] = std::move(tensors[i]);
        kept++;
    }
    tensors.resize(kept);
    return true;
}

} // namespace diffusion
