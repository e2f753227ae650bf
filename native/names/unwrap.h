// Removes what training and saving put before the names of a network.
#pragma once

#include <functional>

#include "io/tensor_table.h"

namespace diffusion {

using Recognition = std::function<bool(const TensorTable & table)>;

// The same tensors, with the names of a network that `recognises` knows; unchanged if there is none. Removes PyTorch's
// wrappers (`module.`, `_orig_mod.`, ...) anywhere, and words before all names (`state_dict.`, `model.`, `net.`,
// whatever they are), if the rest is recognized. Of several copies of a network under different words, the averaged one
// (`ema`, `params_ema`, ...) is used, or else the largest, and the others are dropped. Other tensors keep their names.
TensorTable unwrap(const TensorTable & table, const Recognition & recognises);

} // namespace diffusion
