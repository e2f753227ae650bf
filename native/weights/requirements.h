// Refuses files whose tensors are not those of the networks that were bound to them.
#pragma once

#include <string>
#include <vector>

#include "weights/weight_binder.h"

namespace diffusion {

// "a, b, c and 12 more". What comes from a file is to be quoted.
std::string some_of(const std::vector<std::string> & names);

// The first file, and how many more there are.
std::string where(const TensorTable & table);

// "it holds 12 tensors such as 'x', of the architecture 'llama'", for files of an unknown kind.
std::string contents(const TensorTable & table);

// Those that no network has bound, but for those that ordinary files carry along.
std::vector<std::string> unused_tensors(const WeightBinder & weights);

// Throws Error where tensors are missing (model_incomplete), misshapen (model_mismatch) or unused (model_unsupported).
void require_sound(const WeightBinder & weights);

} // namespace diffusion
