// The layers of blocks.h by this package's own kernels. Images are [channels, width, height, batch]; what only products read
// is in their type, everything else in f32.
#pragma once

#include "graph/blocks.h"

namespace diffusion::cpu {

Tensor to_image(Graph & graph, Tensor planes);
Tensor from_image(Graph & graph, Tensor image);
Tensor concat(Graph & graph, Tensor image, Tensor other);
Tensor conv2d(Graph & graph, const Conv2d & layer, Tensor image, const Sampling & sampling, const Finish & finish,
              Activation before);
Tensor norm_conv2d(Graph & graph, const Norm & norm, float eps, const Conv2d & layer, Tensor image,
                   const Finish & finish, Activation activation, const Sampling & sampling);
Tensor group_norm(Graph & graph, const Norm & norm, float eps, Tensor image, Tensor residual, bool relu);
Tensor norm_tokens(Graph & graph, const Norm & norm, float eps, Tensor image);
Tensor add_tokens(Graph & graph, const Linear & layer, Tensor tokens, Tensor image);
Tensor linear(Graph & graph, const Linear & layer, Tensor x, const Finish & finish);
Tensor layer_norm(Graph & graph, const Norm & norm, Tensor x, bool last, float eps);
Tensor attention(Graph & graph, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal);

} // namespace diffusion::cpu
