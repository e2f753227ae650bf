// The one place that knows how the tensors of depth networks (DPT) are spelled. Canonical are the names of MiDaS; those of
// transformers are turned into them.
#pragma once

#include "io/tensor_table.h"

namespace diffusion {

// Whether a depth network is among the tensors: in a file of its own, or in a checkpoint of a model that draws with depth.
bool holds_dpt(const TensorTable & table);

// The tensors of that network under canonical names, queries, keys and values apart. What estimates nothing is left out: the
// classifier, and layers that are published and never evaluated. A tensor of no known place keeps its own name. Throws Error
// (model_corrupt) where two come to the same name.
TensorTable canonical_dpt(const TensorTable & table);

} // namespace diffusion
