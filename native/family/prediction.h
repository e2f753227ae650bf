// What a UNet was trained to predict.
#pragma once

#include <string>

#include "io/tensor_table.h"

namespace diffusion {

// "epsilon" or "v", where no file says it: for UNets of the family "sd2" what ComfyUI reads off the biases of their last
// transformer's first norm, which are larger where v was predicted.
std::string likely_prediction(const TensorTable & table, const std::string & family);

} // namespace diffusion
