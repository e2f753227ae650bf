// Arithmetic on shapes from untrusted files: nothing here overflows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/tensor_table.h"

namespace diffusion {

std::optional<uint64_t> checked_multiply(uint64_t a, uint64_t b);

// Number of elements of a shape. Nothing if the product of its non-zero axes exceeds int64, so that no partial product
// of an accepted shape can overflow later.
std::optional<uint64_t> count_elements(const std::vector<uint64_t> & shape);

// Sets n_dims and ne from a shape that count_elements() accepts, in ggml's order (contiguous axis first). Axes beyond
// ggml's four are multiplied into the last.
void set_shape(StoredTensor & tensor, const std::vector<uint64_t> & shape);

std::string shape_text(const std::vector<uint64_t> & shape); // "[4, 320]"

// Throws Error (model_corrupt) if two tensors of one mapping share bytes.
void check_no_overlap(const std::string & path, const std::vector<StoredTensor> & tensors);

} // namespace diffusion
