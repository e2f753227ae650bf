// The interface of the layers that all networks are built from. Token sequences are [channels, tokens, batch] in ggml's
// order. The memory layout of an image is up to the implementation, so networks only access images through this
// interface.
#pragma once

#include <map>
#include <optional>

#include "cpu/epilogue.h"
#include "graph/ggml_products.h"
#include "graph/graph.h"

namespace diffusion {

struct Linear {
    Tensor weight = nullptr; // [in, out]
    Tensor bias = nullptr;   // [out], or nullptr
    bool wide = false;       // numbers of its input may exceed the range of f16, to which devices may round others
};

struct Conv2d {
    Tensor weight = nullptr; // [kernel width, kernel height, in, out]
    Tensor bias = nullptr;   // [out], or nullptr
};

// The affine part of a layer norm or a group norm.
struct Norm {
    Tensor weight = nullptr; // [channels]
    Tensor bias = nullptr;   // [channels]
    // Of a group norm: those of the whole image, where only a part of it is normalized. See Layers::statistics.
    Tensor statistics = nullptr;
};

// Of what a norm gives, before it is used: times `factor`, plus `shift`, plus `residual`. Adaptive norms (Peebles and Xie
// 2023) compute the first two from the timestep.
struct Modulation {
    Tensor factor = nullptr;   // [channels, batch]
    Tensor shift = nullptr;    // [channels, batch]
    Tensor residual = nullptr; // of the input's shape
};

enum class NormKind { layer, rms };

// Rotary position embeddings (Su et al. 2021): pairs of a head's channels are turned by angles.
struct Rotation {
    enum Pairs { neighbours, halves }; // (2i, 2i + 1), or (i, i + size / 2)
    // [head size, 2, tokens]: each channel's cosine, and its sine with the sign of its term: minus in the first of a pair.
    Tensor angles = nullptr;
    Pairs pairs = halves;
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
    // Instead of the padding, for a part of an image: zeros where positive; where negative, so many pixels are not
    // read.
    struct Margins {
        int64_t left = 0, top = 0, right = 0, bottom = 0;
    };
    std::optional<Margins> margins{};

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

// Pixels of an image. Those beyond an edge are those of the other side.
struct Window {
    int64_t x = 0, y = 0, width = 0, height = 0;
    int64_t right() const { return x + width; }
    int64_t bottom() const { return y + height; }
};

// An image that is written and read in parts.
struct StoredImage {
    int64_t width = 0, height = 0, channels = 0;
    bool compact = false; // in about a byte a number, where the layers can
    Tensor memory = nullptr;
};

// Planes that are written in parts.
struct StoredPlanes {
    int64_t width = 0, height = 0, channels = 0, batch = 0;
    Tensor memory = nullptr; // [width, height, channels, batch]
};

// Keys and values of attention with one head, written in stretches and read by several of queries.
struct StoredKeys {
    int64_t count = 0, size = 0;
    Tensor keys = nullptr, values = nullptr; // as the layers have them
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
    Tileable tileable() const { return tileable_; }

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
    Tensor layer_norm(const Norm & norm, Tensor x, bool last = false, float eps = 1e-5f) {
        return token_norm(NormKind::layer, norm, x, eps, {}, last);
    }
    // Layer norm or RMS norm (Zhang and Sennrich 2019); its weight and bias may be nullptr.
    virtual Tensor token_norm(NormKind kind, const Norm & norm, Tensor x, float eps, const Modulation & modulation,
                              bool last) = 0;

    // RMS norm of each head with this weight [head size], or none if it is nullptr, then a rotation. Only attention may
    // read the result. x [channels, tokens, batch]
    virtual Tensor turn_heads(Tensor weight, float eps, const Rotation & rotation, Tensor x) = 0;

    // softmax(q k^T / sqrt(head size)) v, with heads concatenated in the channels.
    // q [channels, queries, batch]; k, v [channels, keys, batch] -> [channels, queries, batch]
    // k and v may have fewer heads, each for several of q (grouped-query attention, Ainslie et al. 2023).
    virtual Tensor attention(Tensor q, Tensor k, Tensor v, int64_t heads, bool causal = false) = 0;

    // --- For images that are evaluated in parts, one image of a batch at a time.

    // Memory, `any` tensor being computed already, and what is in it from `offset` on. Offsets are multiples of 64.
    virtual Tensor memory(size_t bytes, Tensor any) = 0;
    void place(StoredPlanes & stored, Tensor memory, size_t offset);
    virtual void place(StoredImage & stored, Tensor memory, size_t offset) = 0;
    virtual void place(StoredKeys & stored, Tensor memory, size_t offset) = 0;
    virtual size_t bytes_of(const StoredImage & stored) const = 0;
    virtual size_t bytes_of(const StoredKeys & stored) const = 0;

    // Writes a part with its first pixel at (x, y). In a compact image both are multiples of 8, and the part ends at
    // another multiple or at an edge.
    virtual void write(StoredImage & stored, Tensor part, int64_t x, int64_t y) = 0;
    virtual Tensor read(const StoredImage & stored, const Window & window) = 0;
    StoredImage as_stored(Tensor image, int64_t channels) const {
        return {image_width(image), image_height(image), channels, false, image};
    }
    virtual void write(StoredPlanes & stored, Tensor part, int64_t x, int64_t y, int64_t index) = 0;

    // Statistics for Norm::statistics, of an image whose parts are given one after the other: `part` is `share` of its
    // pixels, and those before it, which `so_far` is of, are `before`.
    virtual Tensor statistics(Tensor so_far, Tensor part, double before, double share) = 0;

    // Writes the stretch of keys that begins with `first`. k, v [size, keys]
    virtual void write(StoredKeys & stored, Tensor k, Tensor v, int64_t first) = 0;
    // As attention() does. q [size, queries], at most most_queries(keys) of them.
    virtual Tensor attention(Tensor q, const StoredKeys & stored) = 0;
    virtual int64_t most_queries(int64_t keys) const = 0;

    // What is computed before it counts as progress of an evaluation.
    void milestone(Tensor tensor) { graph_.milestone(tensor); }

protected:
    Graph & graph() const { return graph_; }

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
std::unique_ptr<Layers> make_ggml_layers(Graph & graph, const LowRankProducts & changes = {},
                                         const GgmlArithmetic & arithmetic = {});

// With this package's kernels. `cpu` must outlive the graph.
std::unique_ptr<Layers> make_cpu_layers(Graph & graph, CpuContext & cpu);

} // namespace diffusion
