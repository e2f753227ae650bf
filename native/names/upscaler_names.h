// The one place that knows the tensor names of upscalers. The canonical names are those of BasicSR's RRDBNet and
// SRVGGNetCompact; those of ESRGAN's first release and of models trained before it are mapped to them.
#pragma once

#include "io/tensor_table.h"

namespace diffusion {

// The same tensors under canonical names. A tensor without a known place keeps its own name. Throws Error
// (model_corrupt) if two map to the same name.
TensorTable canonical_upscaler(const TensorTable & table);

} // namespace diffusion
