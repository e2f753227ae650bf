// Overflow-free shape arithmetic and the overlap check of the tensor readers.
#include "io/shape.h"

#include <algorithm>
#include <limits>

#include "io/file_error.h"

namespace diffusion {

std::optional<uint64_t> checked_multiply(uint64_t a, uint64_t b) {
    if (b != 0 && a > std::numeric_limits<uint64_t>::max() / b) return std::nullopt;
    return a * b;
}

std::optional<uint64_t> count_elements(const std::vector<uint64_t> & shape) {
    uint64_t product = 1;
    bool zero = false;
    for (const uint64_t axis : shape) {
        zero = zero || axis == 0;
        const auto next = checked_multiply(product, axis == 0 ? 1 : axis);
        if (!next || *next > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
        product = *next;
    }
    return zero ? 0 : product;
}

void set_shape(StoredTensor & tensor, const std::vector<uint64_t> & shape) {
    tensor.n_dims = static_cast<int>(shape.size());
    for (size_t i = 0; i < shape.size(); i++) {
        tensor.ne[std::min<size_t>(i, GGML_MAX_DIMS - 1)] *= static_cast<int64_t>(shape[i]);
    }
}

std::string shape_text(const std::vector<uint64_t> & shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); i++) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

void check_no_overlap(const std::string & path, const std::vector<StoredTensor> & tensors) {
    std::vector<const StoredTensor *> sorted;
    sorted.reserve(tensors.size());
    for (const StoredTensor & tensor : tensors) {
        if (tensor.n_bytes > 0) sorted.push_back(&tensor);
    }
    std::sort(sorted.begin(), sorted.end(), [](auto * a, auto * b) { return a->data < b->data; });
    for (size_t i = 1; i < sorted.size(); i++) {
        const StoredTensor & before = *sorted[i - 1];
        if (before.n_bytes > static_cast<size_t>(sorted[i]->data - before.data)) {
            throw corrupt_file(path, "the data of tensors " + quote(before.name) + " and " + quote(sorted[i]->name) +
                                         " overlap");
        }
    }
}

} // namespace diffusion
