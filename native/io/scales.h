// Scales of weights in separate tensors, as in ComfyUI's files with 8-bit floats.
#pragma once

#include <string>
#include <vector>

#include "io/tensor_table.h"

namespace diffusion {

// Gives `NAME.weight` the scale that the file has as `NAME.scale_weight` or `NAME.weight_scale`, for the full tensor or
// per row, and removes that from the list. Also removes tensors that only say that there are scales, and scales of
// inputs, which only 8-bit float products need. False if there were none of these. Throws Error (model_corrupt,
// model_unsupported) for a scale that cannot be applied.
bool apply_scales(std::vector<StoredTensor> & tensors, const std::string & path);

} // namespace diffusion
