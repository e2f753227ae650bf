// Refuses files whose tensors are not those of the networks that were bound to them.
#pragma once

#include <string>
#include <vector>

#include "weights/weight_binder.h"

namespace diffusion {

// "a, b, c and 12 more". The caller quotes names that come from a file.
std::string some_of(const std::vector<std::string> & names);

// The first file's path, and the number of further files.
std::string where(const TensorTable & table);

// "it holds 12 tensors such as 'x', of the architecture 'llama'": for messages about files of an unknown kind.
std::string contents(const TensorTable & table);

// Tensors that no network has bound, except those that ordinary checkpoints include; see ignorable().
std::vector<std::string> unused_tensors(const WeightBinder & weights);

// Throws Error if tensors are missing (model_incomplete), of the wrong shape (model_mismatch) or unused
// (model_unsupported).
void require_sound(const WeightBinder & weights);

} // namespace diffusion
