// See tensor_values.h.
#include "model/tensor_values.h"

#include <algorithm>

#include "graph/row_delta.h"
#include "io/file_error.h"
#include "io/mapped_file.h"

namespace diffusion {

bool has_values(const StoredTensor & tensor) {
    if (!tensor.supported || tensor.n_elements() == 0) return false;
    return tensor.type == GGML_TYPE_F32 || ggml_get_type_traits(tensor.type)->to_float != nullptr;
}

std::vector<float> read_values(const StoredTensor & tensor) {
    std::vector<float> values(tensor.n_elements());
    const std::vector<uint8_t> aligned(tensor.data, tensor.data + tensor.n_bytes);
    read_row(tensor.type, aligned.data(), tensor.n_elements(), nullptr, 0, values.data());
    return values;
}

std::vector<FloatTensor> read_tensors(const std::string & path, int64_t most_values,
                                      const Cancellation & cancellation) {
    const TensorTable table = TensorTable::open(path, cancellation);
    int64_t left = most_values;
    for (const StoredTensor & tensor : table.tensors()) {
        if (!has_values(tensor)) continue;
        if (tensor.n_elements() > left) {
            throw unsupported_file(path, "holds more than " + std::to_string(most_values) +
                                             " numbers, more than any file of its kind");
        }
        left -= tensor.n_elements();
    }
    std::vector<FloatTensor> read;
    for (const StoredTensor & tensor : table.tensors()) {
        if (!has_values(tensor)) continue;
        const auto *first = tensor.ne, *last = first + std::min(tensor.n_dims, GGML_MAX_DIMS);
        read.push_back(
            {tensor.name, {std::make_reverse_iterator(last), std::make_reverse_iterator(first)}, read_values(tensor)});
    }
    table.check_unchanged();
    return read;
}

} // namespace diffusion
