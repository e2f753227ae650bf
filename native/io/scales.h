// Scales that stand beside weights as tensors of their own, as in ComfyUI's files of 8-bit floats.
#pragma once

#include <string>
#include <vector>

#include "io/tensor_table.h"

namespace diffusion {

// Gives `NAME.weight` the scale that the file has as `NAME.scale_weight` or `NAME.weight_scale`, for all of it or for each row, and takes
// that out of the list; also what says no more than that there are scales, and the scales of inputs, which only products of 8-bit
// floats need. False where there was nothing of the kind. Throws Error (model_corrupt, model_unsupported) for a scale that cannot be
// applied.
bool apply_scales(std::vector<StoredTensor> & tensors, const std::string & path);

} // namespace diffusion
