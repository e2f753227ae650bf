// The one place that knows how the tensors of upscalers are spelled. Canonical are the names of BasicSR's RRDBNet and
// SRVGGNetCompact; those of ESRGAN's first release and of the models trained before it are turned into them.
#pragma once

#include "io/tensor_table.h"

namespace diffusion {

// The same tensors under canonical names. A tensor of no
// known place keeps its own name. Throws Error (model_corrupt) where two come to the same name.
TensorTable canonical_upscaler(const TensorTable & table);

} // namespace diffusion
