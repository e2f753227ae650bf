// The layers that all networks share, as functions from tensors to tensors. Token sequences are [channels, tokens, batch] in
// ggml's order. How an image lies in memory depends on what computes it, so networks leave that to the functions here.
#pragma once

#include "cpu/kernels.h"
#include "graph/graph.h"

namespace diffusion {

struct Linear {
    Tensor weight = nullptr; // [in, out]
    Tensor bias = nullptr;   // [out], or nullptr
};

struct Conv2d {
    Tensor weight = nullptr; // [kernel width, kernel height, in, out]
    Tensor bias = nullptr;   // [out], or nullptr
};

// The affine part of a layer norm or a group norm.
struct Norm {
    Tensor weight = nullptr; // [channels]
    Tensor bias = nullptr;   // [channels]
};

// What follows a product, in this order; computed with it where that saves time.
struct Finish {
    Tensor image_bias = nullptr; // [out, batch]: added to every pixel of an image
    Activation activation = Activation::none;
    Tensor slopes = nullptr;    // [out]: left of zero, of a leaky ReLU of an image (PReLU, He et al. 2015)
    bool activate_last = false; // after the residual, not before
    float scale = 1;
    Tensor residual = nullptr; // of the result's shape
    bool for_products = false; // only products read the result, so it may come in the type that they take
};

// Which pixels of an image a 3x3 convolution is laid over. Where the graph wraps, the other side of the image stands for zeros.
struct Sampling {
    enum Kind {
        all,          // with one pixel of zeros around the image
        half,         // every second in both directions, likewise
        half_shifted, // every second, with zeros on the right and at the bottom only
        resized,      // those of the image resized to `width` by `height` by nearest neighbour, and zeros around it
    };
    Kind kind = all;
    int64_t width = 0, height = 0;
};

// [width, height, channels, batch] <-> an image.
Tensor to_image(Graph & graph, Tensor planes);
Tensor from_image(Graph & graph, Tensor image);
int64_t image_width(const Graph & graph, Tensor image);
int64_t image_height(const Graph & graph, Tensor image);

// Of planes: r x r channels become as many pixels, and the way back (Shi et al. 2016). [width, height, r r channels, batch] <->
// [r width, r height, channels, batch]
Tensor pixel_shuffle(Graph & graph, Tensor planes, int64_t r);
Tensor pixel_unshuffle(Graph & graph, Tensor planes, int64_t r);

// Side by side in the channels.
Tensor concat(Graph & graph, Tensor image, Tensor other);

Tensor conv2d(Graph & graph, const Conv2d & layer, Tensor image, const Sampling & sampling = {},
              const Finish & finish = {});

// 32 groups, as everywhere in Stable Diffusion.
inline constexpr int group_count = 32;

// Group norm, SiLU and a 3x3 convolution.
Tensor norm_conv2d(Graph & graph, const Norm & norm, float eps, const Conv2d & layer, Tensor image,
                   const Finish & finish = {});

// A 1x1 convolution.
Tensor pointwise(Graph & graph, const Linear & layer, Tensor image);

// The pixels of the normed image as tokens, and the way back: image + layer(tokens).
Tensor norm_tokens(Graph & graph, const Norm & norm, float eps, Tensor image);
Tensor add_tokens(Graph & graph, const Linear & layer, Tensor tokens, Tensor image);

Tensor linear(Graph & graph, const Linear & layer, Tensor x, const Finish & finish = {});

// For products to read, unless it is the `last` layer of a network.
Tensor layer_norm(Graph & graph, const Norm & norm, Tensor x, bool last = false);

// softmax(q k^T / sqrt(head size)) v, heads side by side in the channels.
// q [channels, queries, batch]; k, v [channels, keys, batch] -> [channels, queries, batch]
Tensor attention(Graph & graph, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal = false);

} // namespace diffusion
