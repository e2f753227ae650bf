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

// Which pixels of an image a convolution is laid over. Where the graph wraps, the other side of the image stands for zeros.
struct Sampling {
    enum Kind {
        all,          // with half a kernel of zeros around the image: one pixel for 3x3
        half,         // every second in both directions, likewise
        half_shifted, // every second, with zeros for whole kernels, of an odd number one less on the left and at the top
        resized,      // those of the image resized to `width` by `height` by nearest neighbour, and zeros around it
    };
    Kind kind = all;
    int64_t width = 0, height = 0;

    int64_t stride() const { return kind == half || kind == half_shifted ? 2 : 1; }
    // Pixels of zeros before the first and behind the last, for a kernel of that many pixels.
    struct Margins {
        int64_t before, after;
    };
    Margins margins(int64_t kernel) const {
        if (kind != half_shifted) return {kernel / 2, kernel / 2};
        const int64_t zeros = kernel > 2 ? kernel - 2 : 0;
        return {zeros / 2, zeros - zeros / 2};
    }
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

// `before` is done to the pixels first: nothing, SiLU or ReLU.
Tensor conv2d(Graph & graph, const Conv2d & layer, Tensor image, const Sampling & sampling = {},
              const Finish & finish = {}, Activation before = Activation::none);

// 32 groups, as everywhere in Stable Diffusion.
inline constexpr int group_count = 32;

// Group norm, SiLU or another activation as of conv2d, and a convolution.
Tensor norm_conv2d(Graph & graph, const Norm & norm, float eps, const Conv2d & layer, Tensor image,
                   const Finish & finish = {}, Activation activation = Activation::silu,
                   const Sampling & sampling = {});

// Group norm, what is added to it, and ReLU, where these are asked for.
Tensor group_norm(Graph & graph, const Norm & norm, float eps, Tensor image, Tensor residual, bool relu);

// The largest of 3x3 pixels at every second one in both directions, with zeros on the right and at the bottom. For sides that are even,
// and numbers that are not negative.
Tensor max_pool(Graph & graph, Tensor image);

// Resized by linear interpolation; with `align_corners` the outermost pixels lie where they lay, otherwise the edges do.
Tensor bilinear(Graph & graph, Tensor image, int64_t width, int64_t height, bool align_corners);

// A 1x1 convolution.
Tensor pointwise(Graph & graph, const Linear & layer, Tensor image);

// The pixels of images as tokens, and the way back.
Tensor to_tokens(Graph & graph, Tensor image);
Tensor from_tokens(Graph & graph, Tensor tokens, int64_t width, int64_t height);

// The pixels of the normed image as tokens, and the way back: image + layer(tokens).
Tensor norm_tokens(Graph & graph, const Norm & norm, float eps, Tensor image);
Tensor add_tokens(Graph & graph, const Linear & layer, Tensor tokens, Tensor image);

Tensor linear(Graph & graph, const Linear & layer, Tensor x, const Finish & finish = {});

// For products to read, unless it is the `last` layer of a network.
Tensor layer_norm(Graph & graph, const Norm & norm, Tensor x, bool last = false, float eps = 1e-5f);

// softmax(q k^T / sqrt(head size)) v, heads side by side in the channels.
// q [channels, queries, batch]; k, v [channels, keys, batch] -> [channels, queries, batch]
Tensor attention(Graph & graph, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal = false);

} // namespace diffusion
