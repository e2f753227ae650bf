// The interface of the layers that all networks are built from. Token sequences are [channels, tokens, batch] in ggml's
// order. The memory layout of an image is up to the implementation, so networks only access images through this
// interface.
#pragma once

#include <map>

#include "cpu/epilogue.h"
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

// Groups of all group norms in Stable Diffusion.
inline constexpr int group_count = 32;

// Stride and padding of a convolution. Padding is with zeros, or circular for a tileable axis.
struct Geometry {
    enum Kind {
        same,               // stride 1, padding of half a kernel: one pixel for 3x3
        strided,            // stride 2, the same padding
        strided_asymmetric, // stride 2, padding of kernel - 2 in total, the odd pixel on the right and at the bottom
        resized,            // `same`, on the image resized to `width` by `height` by nearest neighbour
    };
    Kind kind = same;
    int64_t width = 0, height = 0;

    int64_t stride() const { return kind == strided || kind == strided_asymmetric ? 2 : 1; }
    // Pixels on the left or at the top, and on the right or at the bottom, for a kernel of this size.
    struct Padding {
        int64_t before, after;
    };
    Padding padding(int64_t kernel) const {
        if (kind != strided_asymmetric) return {kernel / 2, kernel / 2};
        const int64_t pixels = kernel > 2 ? kernel - 2 : 0;
        return {pixels / 2, pixels - pixels / 2};
    }
};

// The axes along which the image is tileable: convolutions use circular padding, so that opposite edges match.
struct Tileable {
    bool x = false, y = false;
};

// Adds layers to one graph. The device chooses the implementation (graph/device.h).
class Layers {
public:
    explicit Layers(Graph & graph) : graph_(graph) {}
    virtual ~Layers() = default;
    Layers(const Layers &) = delete;
    Layers & operator=(const Layers &) = delete;

    // For operations that are not layers.
    ggml_context * context() const { return graph_.context(); }
    Tensor expand(Tensor tensor) { return graph_.expand(tensor); } // see Graph

    void set_tileable(Tileable tileable) { tileable_ = tileable; }

    // [width, height, channels, batch] <-> an image.
    virtual Tensor to_image(Tensor planes) = 0;
    virtual Tensor from_image(Tensor image) = 0;
    virtual int64_t image_width(Tensor image) const = 0;
    virtual int64_t image_height(Tensor image) const = 0;

    // Pixel shuffle (Shi et al. 2016) and its inverse.
    // [width, height, r r channels, batch] <-> [r width, r height, channels, batch]
    Tensor pixel_shuffle(Tensor planes, int64_t r);
    Tensor pixel_unshuffle(Tensor planes, int64_t r);

    // Concatenates channels.
    virtual Tensor concat(Tensor image, Tensor other) = 0;

    // `before` is applied to the input: none, SiLU or ReLU.
    virtual Tensor conv2d(const Conv2d & layer, Tensor image, const Geometry & geometry = {},
                          const Epilogue & epilogue = {}, Activation before = Activation::none) = 0;

    // Group norm, an activation (none, SiLU or ReLU), and a convolution.
    virtual Tensor norm_conv2d(const Norm & norm, float eps, const Conv2d & layer, Tensor image,
                               const Epilogue & epilogue = {}, Activation activation = Activation::silu,
                               const Geometry & geometry = {}) = 0;

    // Group norm, plus `residual` if not nullptr, then ReLU if `relu`.
    virtual Tensor group_norm(const Norm & norm, float eps, Tensor image, Tensor residual, bool relu) = 0;

    // Max pooling, 3x3 with stride 2 and one pixel of zeros on the right and at the bottom. Sides must be even and
    // numbers not negative.
    virtual Tensor max_pool(Tensor image) = 0;

    // Bilinear resizing; `align_corners` as in PyTorch.
    virtual Tensor bilinear(Tensor image, int64_t width, int64_t height, bool align_corners) = 0;

    // A 1x1 convolution.
    virtual Tensor pointwise(const Linear & layer, Tensor image) = 0;

    // The pixels of an image as tokens, and the inverse.
    virtual Tensor to_tokens(Tensor image) = 0;
    virtual Tensor from_tokens(Tensor tokens, int64_t width, int64_t height) = 0;

    // The pixels of the normalized image as tokens, and the inverse with a residual: image + layer(tokens).
    virtual Tensor norm_tokens(const Norm & norm, float eps, Tensor image) = 0;
    virtual Tensor add_tokens(const Linear & layer, Tensor tokens, Tensor image) = 0;

    virtual Tensor linear(const Linear & layer, Tensor x, const Epilogue & epilogue = {}) = 0;

    // The result may only be read by matrix products, unless `last`.
    virtual Tensor layer_norm(const Norm & norm, Tensor x, bool last = false, float eps = 1e-5f) = 0;

    // softmax(q k^T / sqrt(head size)) v, with heads concatenated in the channels.
    // q [channels, queries, batch]; k, v [channels, keys, batch] -> [channels, queries, batch]
    virtual Tensor attention(Tensor q, Tensor k, Tensor v, int64_t heads, bool causal = false) = 0;

protected:
    Graph & graph() const { return graph_; }
    Tileable tileable() const { return tileable_; }

private:
    Graph & graph_;
    Tileable tileable_;
};

class CpuContext;

// A change to the matrix of a linear layer: up (down x) is added to its product with x. In f32.
struct LowRankProduct {
    Tensor down = nullptr; // [in, rank]
    Tensor up = nullptr;   // [rank, out]
};

// By matrix.
using LowRankProducts = std::map<Tensor, LowRankProduct>;

// With ggml's operations, on any device, and with these changes to linear layers.
std::unique_ptr<Layers> make_ggml_layers(Graph & graph, const LowRankProducts & products = {});

// With this package's kernels. `cpu` must outlive the graph.
std::unique_ptr<Layers> make_cpu_layers(Graph & graph, CpuContext & cpu);

} // namespace diffusion
