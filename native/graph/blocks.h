// The layers that all networks share, as functions from tensors to tensors. Shapes are in ggml's order: images are
// [width, height, channels, batch], token sequences [channels, tokens, batch].
#pragma once

#include "graph/graph.h"

namespace diffusion {

struct Linear {
    Tensor weight = nullptr; // [in, out]
    Tensor bias = nullptr;   // [out], or nullptr
};

struct Conv2d {
    Tensor weight = nullptr; // [kernel width, kernel height, in, out]
    Tensor bias = nullptr;   // [out]
};

// The affine part of a layer norm or a group norm.
struct Norm {
    Tensor weight = nullptr; // [channels]
    Tensor bias = nullptr;   // [channels]
};

Tensor linear(Graph & graph, const Linear & layer, Tensor x);

// A 1x1 convolution of an image.
Tensor pointwise(Graph & graph, const Linear & layer, Tensor image);

// Zero padding on every side.
Tensor conv2d(Graph & graph, const Conv2d & layer, Tensor x, int stride = 1, int padding = 1);

Tensor layer_norm(Graph & graph, const Norm & norm, Tensor x);

// 32 groups, as everywhere in Stable Diffusion.
inline constexpr int group_count = 32;
Tensor group_norm(Graph & graph, const Norm & norm, Tensor x, float eps);

// softmax(q k^T / sqrt(head size)) v, heads side by side in the channels.
// q [channels, queries, batch]; k, v [channels, keys, batch] -> [channels, queries, batch]
Tensor attention(Graph & graph, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal = false);

// [width, height, channels, batch] <-> [channels, width * height, batch]
Tensor to_tokens(Graph & graph, Tensor image);
Tensor to_image(Graph & graph, Tensor tokens, int64_t width, int64_t height);

// Nearest-neighbour resize of an image.
Tensor resize_nearest(Graph & graph, Tensor image, int64_t width, int64_t height);

} // namespace diffusion
