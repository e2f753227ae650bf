// See weight_binder.h.
#include "weights/weight_binder.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "backend/memory.h"
#include "error.h"
#include "io/read_numbers.h"

namespace diffusion {

namespace {

// More than any network has (vocabularies have some hundred thousand tokens); small enough that no product of sizes
// overflows.
constexpr int64_t largest_dimension = 1 << 20;

// Outermost dimension first, as in PyTorch.
std::string shape_text(const int64_t * ne, int n_dims) {
    std::string text = "[";
    for (int i = n_dims - 1; i >= 0; i--) text += std::to_string(ne[i]) + (i > 0 ? ", " : "");
    return text + "]";
}

bool same_shape(const StoredTensor & stored, std::initializer_list<int64_t> ne) {
    std::vector<int64_t> have, want;
    std::copy_if(stored.ne, stored.ne + GGML_MAX_DIMS, std::back_inserter(have), [](int64_t n) { return n != 1; });
    std::copy_if(ne.begin(), ne.end(), std::back_inserter(want), [](int64_t n) { return n != 1; });
    return have == want;
}

// For a tensor that cannot keep the file's type: f16 for types of fewer bits, which the programs that write such files
// compute in, otherwise f32.
ggml_type converted_type(const StoredTensor & stored) {
    const ggml_type type = stored.type->ggml;
    const bool keeps = type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
    if (keeps && stored.scales.empty()) return type;
    const bool narrow = stored.type->block_bytes * 8 < 16 * static_cast<size_t>(stored.type->block);
    return narrow ? GGML_TYPE_F16 : GGML_TYPE_F32;
}

} // namespace

WeightBinder::WeightBinder(const TensorTable & table) : table_(table) {
    ggml_init_params params{};
    params.mem_size = (table.tensors().size() + 1) * ggml_tensor_overhead();
    params.no_alloc = true;
    context_ = require_made(ggml_init(params));
}

WeightBinder::~WeightBinder() {
    ggml_free(context_);
}

int64_t WeightBinder::size(const std::string & name, int i) const {
    const StoredTensor * stored = table_.find(name);
    if (!stored) return 0;
    if (stored->ne[i] > largest_dimension) {
        throw Error(ErrorCode::model_unsupported, "The tensor " + name + " has a dimension of " +
                                                      std::to_string(stored->ne[i]) + "; expected at most " +
                                                      std::to_string(largest_dimension) + ".");
    }
    return stored->ne[i];
}

int64_t WeightBinder::inputs(const std::string & name) const {
    const StoredTensor * stored = table_.find(name);
    const bool is_kernel = stored && (stored->ne[2] > 1 || stored->ne[3] > 1);
    return size(name, is_kernel ? 2 : 0);
}

int64_t WeightBinder::conv_channels(const std::string & prefix) const {
    return has(prefix + ".weight") ? size(prefix + ".weight", 3) : size(prefix + ".bias", 0);
}

std::vector<int64_t> WeightBinder::indices(const std::string & prefix) const {
    constexpr int64_t most = 10000; // far above any network; bounds the loops over indices
    std::set<int64_t> found;
    for (const StoredTensor & tensor : table_.tensors()) {
        if (tensor.name.compare(0, prefix.size(), prefix) != 0) continue;
        int64_t index = 0;
        size_t at = prefix.size();
        const size_t digits = at;
        for (; at < tensor.name.size() && std::isdigit(static_cast<unsigned char>(tensor.name[at])) && index < most;
             at++) {
            index = index * 10 + (tensor.name[at] - '0');
        }
        if (at > digits && at < tensor.name.size() && tensor.name[at] == '.') found.insert(index);
    }
    return {found.begin(), found.end()};
}

int64_t WeightBinder::count(const std::string & prefix) const {
    const std::vector<int64_t> found = indices(prefix);
    return found.empty() ? 0 : found.back() + 1;
}

Tensor WeightBinder::weight(const std::string & name, Shape ne) {
    const Tensor tensor = bind(name, ne, ne, false);
    if (tensor) bindings_.back().for_gemm = true;
    return tensor;
}

Tensor WeightBinder::lookup(const std::string & name, Shape ne) {
    return bind(name, ne, ne, false);
}

Tensor WeightBinder::parameter(const std::string & name, Shape ne) {
    return bind(name, ne, ne, true);
}

Tensor WeightBinder::transformed(const std::string & name, Shape stored_ne, Shape ne, Transform transform) {
    return bind(name, stored_ne, ne, true, std::move(transform));
}

Tensor WeightBinder::bind(const std::string & name, Shape stored_ne, Shape ne, bool to_f32, Transform transform) {
    const StoredTensor * stored = table_.find(name);
    if (!stored) {
        missing_.push_back(name);
        return nullptr;
    }
    if (!used_.insert(name).second) {
        mismatched_.push_back(name + ": needed in two places of the network");
        return nullptr;
    }
    const std::string wanted = shape_text(stored_ne.begin(), static_cast<int>(stored_ne.size()));
    if (!same_shape(*stored, stored_ne)) {
        mismatched_.push_back(name + ": expected shape " + wanted + ", found " +
                              shape_text(stored->ne, std::min(stored->n_dims, GGML_MAX_DIMS)));
        return nullptr;
    }
    if (stored->n_elements() == 0) {
        mismatched_.push_back(name + ": has no values, its shape is " + wanted);
        return nullptr;
    }
    if (!has_numbers(*stored)) {
        mismatched_.push_back(name + ": expected a floating-point or quantized type, found " +
                              std::string(stored->type->name));
        return nullptr;
    }
    const bool as_stored =
        stored->is_plain() && stored->type->ggml != GGML_TYPE_F64 && *ne.begin() % stored->type->block == 0;
    const ggml_type type = to_f32 ? GGML_TYPE_F32 : as_stored ? stored->type->ggml : converted_type(*stored);
    Tensor tensor = ggml_new_tensor(context_, type, static_cast<int>(ne.size()), ne.begin());
    ggml_set_name(tensor, name.c_str());
    bindings_.push_back({tensor, stored, std::move(transform)});
    return tensor;
}

void WeightBinder::tolerate(const std::string & prefix) {
    for (const StoredTensor & tensor : table_.tensors()) {
        if (tensor.name.starts_with(prefix)) used_.insert(tensor.name);
    }
}

Linear WeightBinder::linear(const std::string & prefix, int64_t in, int64_t out, bool bias) {
    return {weight(prefix + ".weight", {in, out}), bias ? parameter(prefix + ".bias", {out}) : nullptr};
}

Conv2d WeightBinder::conv(const std::string & prefix, int64_t in, int64_t out, int64_t kernel, bool bias) {
    return {weight(prefix + ".weight", {kernel, kernel, in, out}), bias ? parameter(prefix + ".bias", {out}) : nullptr};
}

Norm WeightBinder::norm(const std::string & prefix, int64_t channels) {
    return {parameter(prefix + ".weight", {channels}), parameter(prefix + ".bias", {channels})};
}

} // namespace diffusion
