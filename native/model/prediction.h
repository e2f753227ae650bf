// What a UNet was trained to predict.
#pragma once

#include <string>

#include "model/source.h"

namespace diffusion {

// "epsilon" or "v", or whatever else the files say by name. Where no configuration and no metadata says it: v for a file with
// a tensor `v_pred`, the mark of SDXL models; and for UNets of the family "sd2" what ComfyUI reads off the biases of their last
// transformer's first norm, which are larger where v was predicted.
std::string prediction_of(const ModelTensors & tensors, const std::string & family);

} // namespace diffusion
