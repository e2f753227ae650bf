// The layers that all networks share, from tensors to tensors, whatever computes them. Token sequences are [channels,
// tokens, batch] in ggml's order. How an image lies in memory is up to the implementation, so networks leave that to
// the functions here.
#pragma once

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

// Groups of a group norm, as everywhere in Stable Diffusion.
inline constexpr int group_count = 32;

// Stride and padding of a convolution. The padding is of zeros, or of the other side of the image where that is
// tileable.
struct Geometry {
    enum Kind {
        same,               // stride 1, half a kernel of padding on each side: one pixel for 3x3
        strided,            // stride 2, likewise
        strided_asymmetric, // stride 2, padded for whole kernels, of an odd number one less on the left and at the top
        resized,            // `same`, over the image resized to `width` by `height` by nearest neighbour
    };
    Kind kind = same;
    int64_t width = 0, height = 0;

    int64_t stride() const { return kind == strided || kind == strided_asymmetric ? 2 : 1; }
    // Pixels before the first and behind the last, for a kernel of that many pixels.
    struct Padding {
        int64_t before, after;
    };
    Padding padding(int64_t kernel) const {
        if (kind != strided_asymmetric) return {kernel / 2, kernel / 2};
        const int64_t pixels = kernel > 2 ? kernel - 2 : 0;
        return {pixels / 2, pixels - pixels / 2};
    }
};

// Along which axes convolutions are circular: opposite sides of the image are joined, so that copies of it can be laid
// side by side.
struct Tileable {
    bool x = false, y = false;
};

// Adds layers to one graph. Which implementation does so is chosen with the device (graph/device.h).
class Layers {
public:
    explicit Layers(Graph & graph) : graph_(graph) {}
    virtual ~Layers() = default;
    Layers(const Layers &) = delete;
    Layers & operator=(const Layers &) = delete;

    // For what is no layer.
    ggml_context * context() const { return graph_.context(); }
    Tensor expand(Tensor tensor) { return graph_.expand(tensor); } // see Graph

    void set_tileable(Tileable tileable) { tileable_ = tileable; }

    // [width, height, channels, batch] <-> an image.
    virtual Tensor to_image(Tensor planes) = 0;
    virtual Tensor from_image(Tensor image) = 0;
    virtual int64_t image_width(Tensor image) const = 0;
    virtual int64_t image_height(Tensor image) const = 0;

    // Of planes: r x r channels become as many pixels, and the way back (Shi et al. 2016). [width, height, r r
    // channels, batch] <-> [r width, r height, channels, batch]
    Tensor pixel_shuffle(Tensor planes, int64_t r);
    Tensor pixel_unshuffle(Tensor planes, int64_t r);

    // Side by side in the channels.
    virtual Tensor concat(Tensor image, Tensor other) = 0;

    // `before` is done to the pixels first: nothing, SiLU or ReLU.
    virtual Tensor conv2d(const Conv2d & layer, Tensor image, const Geometry & geometry = {},
                          const Epilogue & epilogue = {}, Activation before = Activation::none) = 0;

    // Group norm, SiLU or another activation as of conv2d, and a convolution.
    virtual Tensor norm_conv2d(const Norm & norm, float eps, const Conv2d & layer, Tensor image,
                               const Epilogue & epilogue = {}, Activation activation = Activation::silu,
                               const Geometry & geometry = {}) = 0;

    // Group norm, what is added to it, and ReLU, where these are asked for.
    virtual Tensor group_norm(const Norm & norm, float eps, Tensor image, Tensor residual, bool relu) = 0;

    // The largest of 3x3 pixels at every second one in both directions, with zeros on the right and at the bottom. For
    // sides that are even, and numbers that are not negative.
    virtual Tensor max_pool(Tensor image) = 0;

    // Resized by linear interpolation; with `align_corners` the outermost pixels lie where they lay, otherwise the
    // edges do.
    virtual Tensor bilinear(Tensor image, int64_t width, int64_t height, bool align_corners) = 0;

    // A 1x1 convolution.
    virtual Tensor pointwise(const Linear & layer, Tensor image) = 0;

    // The pixels of images as tokens, and the way back.
    virtual Tensor to_tokens(Tensor image) = 0;
    virtual Tensor from_tokens(Tensor tokens, int64_t width, int64_t height) = 0;

    // The pixels of the normed image as tokens, and the way back: image + layer(tokens).
    virtual Tensor norm_tokens(const Norm & norm, float eps, Tensor image) = 0;
    virtual Tensor add_tokens(const Linear & layer, Tensor tokens, Tensor image) = 0;

    virtual Tensor linear(const Linear & layer, Tensor x, const Epilogue & epilogue = {}) = 0;

    // For products to read, unless it is the `last` layer of a network.
    virtual Tensor layer_norm(const Norm & norm, Tensor x, bool last = false, float eps = 1e-5f) = 0;

    // softmax(q k^T / sqrt(head size)) v, heads side by side in the channels.
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

// By ggml's operations, on any device.
std::unique_ptr<Layers> make_ggml_layers(Graph & graph);

// By this package's own kernels. `cpu` must outlive the graph.
std::unique_ptr<Layers> make_cpu_layers(Graph & graph, CpuContext & cpu);

} // namespace diffusion
