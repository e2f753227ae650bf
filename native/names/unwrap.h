// Takes off what training and saving put before the names of a network.
#pragma once

#include <functional>

#include "io/tensor_table.h"

namespace diffusion {

using Recognition = std::function<bool(const TensorTable & table)>;

// The same tensors, named as a network is that `recognises` knows; unchanged where there is none. Taken off are the wrappers of PyTorch
// (`module.`, `_orig_mod.`, ...) at any place, and the words before all names (`state_dict.`, `model.`, `net.`, whatever they are),
// where the rest is recognised. Of copies of a network under several words, the averaged one (`ema`, `params_ema`, ...) is taken, or else
// the largest, and the others are dropped. Tensors beside it keep their names.
TensorTable unwrap(const TensorTable & table, const Recognition & recognises);

} // namespace diffusion
