// The one place that knows the tensor names of depth networks (DPT). The canonical names are MiDaS's; those of
// transformers are mapped to them.
#pragma once

#include "io/tensor_table.h"

namespace diffusion {

// Whether the tensors include a depth network: in its own file, or in a depth-to-image checkpoint.
bool holds_dpt(const TensorTable & table);

// The tensors of that network under canonical names, with queries, keys and values separated. Tensors not used for
// depth are omitted: the classifier, and published layers that are never evaluated. A tensor without a known place
// keeps its own name. Throws Error (model_corrupt) if two map to the same name.
TensorTable canonical_dpt(const TensorTable & table);

} // namespace diffusion
