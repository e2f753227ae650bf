// See tensor_values.h.
#include "source/tensor_values.h"

#include <algorithm>

#include "io/file_error.h"
#include "io/mapped_file.h"
#include "io/read_numbers.h"
#include "io/tensor_table.h"

namespace diffusion {

std::vector<FloatTensor> read_tensors(const std::string & path, int64_t most_values, const std::string & prefix,
                                      const Cancellation & cancellation) {
    const auto wanted = [&](const StoredTensor & tensor) {
        return has_numbers(tensor) && tensor.name.starts_with(prefix);
    };
    const TensorTable table = TensorTable::open(path, cancellation);
    int64_t left = most_values;
    for (const StoredTensor & tensor : table.tensors()) {
        if (!wanted(tensor)) continue;
        if (tensor.n_elements() > left) {
            throw unsupported_file(path, "holds more than " + std::to_string(most_values) +
                                             " numbers, more than any file of its kind");
        }
        left -= tensor.n_elements();
    }
    std::vector<FloatTensor> read;
    for (const StoredTensor & tensor : table.tensors()) {
        if (!wanted(tensor)) continue;
        const auto *first = tensor.ne, *last = first + std::min(tensor.n_dims, GGML_MAX_DIMS);
        read.push_back({tensor.name,
                        {std::make_reverse_iterator(last), std::make_reverse_iterator(first)},
                        read_all_numbers(tensor)});
    }
    table.check_unchanged();
    return read;
}

} // namespace diffusion
