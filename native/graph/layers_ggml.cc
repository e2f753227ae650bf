// The layers with ggml's operations. Images are [width, height, channels, batch].
#include <algorithm>
#include <cmath>

#include "error.h"
#include "graph/layers.h"

namespace diffusion {

namespace {

// A vector of one number per channel, shaped to broadcast over an image.
Tensor per_channel(ggml_context * ctx, Tensor vector) {
    return ggml_reshape_4d(ctx, vector, 1, 1, vector->ne[0], 1);
}

// PReLU: a learned slope per channel for negative numbers.
Tensor prelu(ggml_context * ctx, Tensor x, Tensor slopes) {
    Tensor negative = ggml_relu(ctx, ggml_neg(ctx, x));
    return ggml_sub(ctx, ggml_relu(ctx, x), ggml_mul(ctx, negative, per_channel(ctx, slopes)));
}

Tensor activate(ggml_context * ctx, Activation activation, Tensor slopes, Tensor x) {
    switch (activation) {
        case Activation::none: break;
        case Activation::silu: return ggml_silu(ctx, x);
        // Written out, because ggml's own uses a lookup table in f16.
        case Activation::quick_gelu: return ggml_mul(ctx, x, ggml_sigmoid(ctx, ggml_scale(ctx, x, 1.702f)));
        case Activation::gelu: return ggml_gelu_erf(ctx, x);
        case Activation::relu: return ggml_relu(ctx, x);
        case Activation::leaky_relu: return slopes ? prelu(ctx, x, slopes) : ggml_leaky_relu(ctx, x, 0.2f, false);
        case Activation::gated_gelu: return ggml_geglu_erf_swapped(ctx, x);
    }
    return x;
}

double scores_bytes(Tensor q, int64_t keys, int64_t heads) {
    return static_cast<double>(sizeof(float)) * q->ne[1] * keys * heads * q->ne[2];
}

int64_t floor_mod(int64_t place, int64_t side) {
    return (place % side + side) % side;
}

class GgmlLayers : public Layers {
public:
    GgmlLayers(Graph & graph, LowRankProducts changes, const GgmlArithmetic & arithmetic)
        : Layers(graph), products_(graph, arithmetic), changes_(std::move(changes)) {}

    Tensor to_image(Tensor planes) override { return planes; }
    Tensor from_image(Tensor image) override { return image; }
    int64_t image_width(Tensor image) const override { return image->ne[0]; }
    int64_t image_height(Tensor image) const override { return image->ne[1]; }

    Tensor concat(Tensor image, Tensor other) override { return ggml_concat(context(), image, other, 2); }

    Tensor conv2d(const Conv2d & layer, Tensor image, const Geometry & geometry, const Epilogue & epilogue,
                  Activation before) override;

    Tensor norm_conv2d(const Norm & norm, float eps, const Conv2d & layer, Tensor image, const Epilogue & epilogue,
                       Activation activation, const Geometry & geometry) override {
        return conv2d(layer, normed(norm, eps, image), geometry, epilogue, activation);
    }

    Tensor group_norm(const Norm & norm, float eps, Tensor image, Tensor residual, bool relu) override {
        Epilogue epilogue;
        epilogue.residual = residual;
        epilogue.activation = relu ? Activation::relu : Activation::none;
        epilogue.activate_last = true;
        return apply(epilogue, normed(norm, eps, image));
    }

    Tensor max_pool(Tensor image) override {
        Tensor padded = ggml_pad(context(), image, 1, 1, 0, 0);
        return expand(ggml_pool_2d(context(), padded, GGML_OP_POOL_MAX, 3, 3, 2, 2, 0, 0));
    }

    Tensor bilinear(Tensor image, int64_t width, int64_t height, bool align_corners) override {
        const uint32_t mode = GGML_SCALE_MODE_BILINEAR | (align_corners ? GGML_SCALE_FLAG_ALIGN_CORNERS : 0);
        return expand(ggml_interpolate(context(), image, width, height, image->ne[2], image->ne[3], mode));
    }

    Tensor pointwise(const Linear & layer, Tensor image) override {
        return from_tokens(linear(layer, to_tokens(image), {}), image->ne[0], image->ne[1]);
    }

    Tensor to_tokens(Tensor image) override {
        Tensor flat = ggml_reshape_3d(context(), image, image->ne[0] * image->ne[1], image->ne[2], image->ne[3]);
        return ggml_cont(context(), ggml_permute(context(), flat, 1, 0, 2, 3));
    }

    Tensor from_tokens(Tensor tokens, int64_t width, int64_t height) override {
        Tensor planes = ggml_cont(context(), ggml_permute(context(), tokens, 1, 0, 2, 3));
        return ggml_reshape_4d(context(), planes, width, height, tokens->ne[0], tokens->ne[2]);
    }

    Tensor norm_tokens(const Norm & norm, float eps, Tensor image) override {
        return to_tokens(normed(norm, eps, image));
    }

    Tensor add_tokens(const Linear & layer, Tensor tokens, Tensor image) override {
        Tensor y = from_tokens(linear(layer, tokens, {}), image->ne[0], image->ne[1]);
        return expand(ggml_add(context(), image, y));
    }

    Tensor linear(const Linear & layer, Tensor x, const Epilogue & epilogue) override;

    Tensor token_norm(NormKind kind, const Norm & norm, Tensor x, float eps, const Modulation & modulation,
                      bool last) override;
    Tensor turn_heads(Tensor weight, float eps, const Rotation & rotation, Tensor x) override;

    Tensor attention(Tensor q, Tensor k, Tensor v, int64_t heads, bool causal) override;

    // Any device fills it, and all do so when the graph comes to it.
    Tensor memory(size_t bytes, Tensor any) override {
        Tensor number = ggml_view_1d(context(), any, 1, 0);
        Tensor memory = ggml_repeat_4d(context(), number, static_cast<int64_t>(bytes / sizeof(float)), 1, 1, 1);
        return written(memory);
    }

    void place(StoredImage & stored, Tensor memory, size_t offset) override {
        const size_t line = stored.width * sizeof(float), plane = stored.height * line;
        stored.memory =
            ggml_view_3d(context(), memory, stored.width, stored.height, stored.channels, line, plane, offset);
    }

    void place(StoredKeys & stored, Tensor memory, size_t offset) override {
        const size_t size = stored.size * sizeof(float), count = stored.count * sizeof(float);
        stored.keys = ggml_view_2d(context(), memory, stored.size, stored.count, size, offset);
        stored.values = ggml_view_2d(context(), memory, stored.count, stored.size, count, offset + stored.count * size);
    }

    size_t bytes_of(const StoredImage & stored) const override {
        return stored.width * stored.height * stored.channels * sizeof(float);
    }
    size_t bytes_of(const StoredKeys & stored) const override { return 2 * stored.count * stored.size * sizeof(float); }

    void write(StoredImage & stored, Tensor part, int64_t x, int64_t y) override {
        copy_into(stored.memory, part, x * stored.memory->nb[0] + y * stored.memory->nb[1]);
    }

    void write(StoredPlanes & stored, Tensor part, int64_t x, int64_t y, int64_t index) override {
        const auto & nb = stored.memory->nb;
        copy_into(stored.memory, part, x * nb[0] + y * nb[1] + index * nb[3]);
    }

    Tensor read(const StoredImage & stored, const Window & window) override;

    Tensor statistics(Tensor so_far, Tensor part, double before, double share) override;

    void write(StoredKeys & stored, Tensor k, Tensor v, int64_t first) override {
        copy_into(stored.keys, k, first * stored.keys->nb[1]);
        copy_into(stored.values, ggml_cont(context(), ggml_transpose(context(), v)), first * stored.values->nb[0]);
    }

    Tensor attention(Tensor q, const StoredKeys & stored) override {
        Tensor queries = ggml_reshape_3d(context(), q, q->ne[0], q->ne[1], 1);
        Tensor y = attend(queries, stored.keys, stored.values, 1, false);
        return ggml_reshape_2d(context(), y, q->ne[0], q->ne[1]);
    }

    // The scores are in memory for all of them.
    int64_t most_queries(int64_t keys) const override {
        constexpr int64_t most_scores = int64_t{1} << 26;
        return std::max<int64_t>(1, most_scores / keys);
    }

private:
    Tensor written(Tensor tensor);
    void copy_into(Tensor whole, Tensor part, size_t offset);
    Tensor attend(Tensor q, Tensor k, Tensor v, int64_t heads, bool causal);
    Tensor with_margins(Tensor x, const Geometry::Margins & margins) const;
    Tensor normed(const Norm & norm, float eps, Tensor x);
    Tensor normed_by(Tensor statistics, float eps, Tensor x);
    Tensor apply(const Epilogue & epilogue, Tensor y);
    Tensor with_padding(Tensor x, int before, int after) const;
    Tensor convolve(const Conv2d & layer, Tensor x, int stride, int padding, const Epilogue & epilogue);

    GgmlProducts products_;
    LowRankProducts changes_;
};

Tensor GgmlLayers::apply(const Epilogue & epilogue, Tensor y) {
    ggml_context * ctx = context();
    if (epilogue.image_bias) {
        const Tensor b = epilogue.image_bias;
        y = ggml_add(ctx, y, ggml_reshape_4d(ctx, b, 1, 1, b->ne[0], b->ne[1]));
    }
    if (!epilogue.activate_last) y = activate(ctx, epilogue.activation, epilogue.slopes, y);
    if (epilogue.factor) y = ggml_mul(ctx, y, epilogue.factor);
    if (epilogue.scale != 1) y = ggml_scale(ctx, y, epilogue.scale);
    if (epilogue.residual) y = ggml_add(ctx, y, epilogue.residual);
    if (epilogue.activate_last) y = activate(ctx, epilogue.activation, epilogue.slopes, y);
    return expand(y);
}

void GgmlLayers::copy_into(Tensor whole, Tensor part, size_t offset) {
    Tensor place = ggml_view_4d(context(), whole, part->ne[0], part->ne[1], part->ne[2], part->ne[3], whole->nb[1],
                                whole->nb[2], whole->nb[3], offset);
    written(ggml_cpy(context(), part, place));
}

// To memory that parts of an image share. The CPU in place of the device would write to a copy.
Tensor GgmlLayers::written(Tensor tensor) {
    if (products_.computes(tensor)) return expand(tensor);
    const Tensor memory = tensor->view_src ? tensor->view_src : tensor;
    throw Error(ErrorCode::model_unsupported, "The device has no tensors of " +
                                                  std::to_string(ggml_nbytes(memory) >> 20) +
                                                  " MiB, which hold the parts of an image.");
}

Tensor GgmlLayers::read(const StoredImage & stored, const Window & window) {
    ggml_context * ctx = context();
    const Tensor whole = stored.memory;
    Tensor image = nullptr;
    for (int64_t y = window.y; y < window.bottom();) {
        const int64_t from_y = floor_mod(y, stored.height),
                      rows = std::min(window.bottom() - y, stored.height - from_y);
        Tensor line = nullptr;
        for (int64_t x = window.x; x < window.right();) {
            const int64_t from_x = floor_mod(x, stored.width);
            const int64_t columns = std::min(window.right() - x, stored.width - from_x);
            Tensor piece = ggml_view_3d(ctx, whole, columns, rows, stored.channels, whole->nb[1], whole->nb[2],
                                        from_x * whole->nb[0] + from_y * whole->nb[1]);
            piece = ggml_cont(ctx, piece);
            line = line ? ggml_concat(ctx, line, piece, 0) : piece;
            x += columns;
        }
        image = image ? ggml_concat(ctx, image, line, 1) : line;
        y += rows;
    }
    return expand(image);
}

// The means of a channel's numbers and of their squares, [channels, 2].
Tensor GgmlLayers::statistics(Tensor so_far, Tensor part, double, double share) {
    ggml_context * ctx = context();
    const int64_t pixels = part->ne[0] * part->ne[1], channels = part->ne[2];
    Tensor rows = ggml_reshape_2d(ctx, part, pixels, channels);
    Tensor means = ggml_concat(ctx, ggml_mean(ctx, rows), ggml_mean(ctx, ggml_sqr(ctx, rows)), 0); // [2, channels]
    means = ggml_scale(ctx, ggml_cont(ctx, ggml_transpose(ctx, means)), static_cast<float>(share));
    return expand(so_far ? ggml_add(ctx, so_far, means) : means);
}

Tensor GgmlLayers::normed(const Norm & norm, float eps, Tensor x) {
    ggml_context * ctx = context();
    Tensor y = norm.statistics ? normed_by(norm.statistics, eps, x) : ggml_group_norm(ctx, x, group_count, eps);
    return ggml_add(ctx, ggml_mul(ctx, y, per_channel(ctx, norm.weight)), per_channel(ctx, norm.bias));
}

// Group norm with the statistics of a larger image.
Tensor GgmlLayers::normed_by(Tensor statistics, float eps, Tensor x) {
    ggml_context * ctx = context();
    const int64_t size = x->ne[2] / group_count;
    Tensor means = ggml_mean(ctx, ggml_reshape_3d(ctx, statistics, size, group_count, 2)); // [1, groups, 2]
    const auto row = [&](int64_t i) {
        return ggml_view_2d(ctx, means, 1, group_count, means->nb[1], i * means->nb[2]);
    };
    Tensor mean = row(0);
    Tensor variance = ggml_relu(ctx, ggml_sub(ctx, row(1), ggml_sqr(ctx, mean)));
    Tensor groups = ggml_reshape_2d(ctx, x, x->ne[0] * x->ne[1] * size, group_count);
    Tensor y = ggml_div(ctx, ggml_sub(ctx, groups, mean), ggml_sqrt(ctx, ggml_scale_bias(ctx, variance, 1, eps)));
    return expand(ggml_reshape_4d(ctx, y, x->ne[0], x->ne[1], x->ne[2], x->ne[3]));
}

Tensor GgmlLayers::with_margins(Tensor x, const Geometry::Margins & m) const {
    const auto cut = [](int64_t margin) { return std::max<int64_t>(-margin, 0); };
    const auto zeros = [](int64_t margin) { return static_cast<int>(std::max<int64_t>(margin, 0)); };
    if (cut(m.left) + cut(m.top) + cut(m.right) + cut(m.bottom) > 0) {
        x = ggml_cont(context(), ggml_view_4d(context(), x, x->ne[0] - cut(m.left) - cut(m.right),
                                              x->ne[1] - cut(m.top) - cut(m.bottom), x->ne[2], x->ne[3], x->nb[1],
                                              x->nb[2], x->nb[3], cut(m.left) * x->nb[0] + cut(m.top) * x->nb[1]));
    }
    return ggml_pad_ext(context(), x, zeros(m.left), zeros(m.right), zeros(m.top), zeros(m.bottom), 0, 0, 0, 0);
}

// Pads `before` pixels on the left and at the top, and `after` on the right and at the bottom: circular along tileable
// axes, otherwise zeros.
Tensor GgmlLayers::with_padding(Tensor x, int before, int after) const {
    const auto pad = [&](bool circular, bool along_x, bool along_y) {
        const auto pad_ext = circular ? ggml_pad_ext_circular : ggml_pad_ext;
        const int bx = along_x ? before : 0, ax = along_x ? after : 0, by = along_y ? before : 0,
                  ay = along_y ? after : 0;
        return pad_ext(context(), x, bx, ax, by, ay, 0, 0, 0, 0);
    };
    if (tileable().x == tileable().y) return pad(tileable().x, true, true);
    x = pad(true, tileable().x, tileable().y);
    return pad(false, tileable().y, tileable().x);
}

Tensor GgmlLayers::convolve(const Conv2d & layer, Tensor x, int stride, int padding, const Epilogue & epilogue) {
    if (padding > 0 && (tileable().x || tileable().y)) {
        x = with_padding(x, padding, padding);
        padding = 0;
    }
    Tensor y = products_.convolve(layer.weight, x, stride, padding);
    if (layer.bias) y = ggml_add(context(), y, per_channel(context(), layer.bias));
    return apply(epilogue, y);
}

Tensor GgmlLayers::conv2d(const Conv2d & layer, Tensor x, const Geometry & geometry, const Epilogue & epilogue,
                          Activation before) {
    x = activate(context(), before, nullptr, x);
    if (geometry.kind == Geometry::resized) {
        x = ggml_interpolate(context(), x, geometry.width, geometry.height, x->ne[2], x->ne[3],
                             GGML_SCALE_MODE_NEAREST);
    }
    if (geometry.margins) {
        return convolve(layer, with_margins(x, *geometry.margins), static_cast<int>(geometry.stride()), 0, epilogue);
    }
    const auto padding = geometry.padding(layer.weight->ne[0]);
    const bool even = padding.before == padding.after;
    if (!even) x = with_padding(x, static_cast<int>(padding.before), static_cast<int>(padding.after));
    return convolve(layer, x, static_cast<int>(geometry.stride()), even ? static_cast<int>(padding.before) : 0,
                    epilogue);
}

Tensor GgmlLayers::linear(const Linear & layer, Tensor x, const Epilogue & epilogue) {
    ggml_context * ctx = context();
    const int64_t in = layer.weight->ne[0], out = layer.weight->ne[1];
    const int64_t rows = x->ne[1] * x->ne[2] * x->ne[3];
    Tensor flat = ggml_reshape_2d(ctx, x, in, rows);
    const auto changed = changes_.find(layer.weight);
    const bool is_changed = changed != changes_.end();
    const double changing = is_changed ? changed->second.up->ne[0] * static_cast<double>(in + out) : 0;
    const int64_t n = graph().slices(2.0 * rows * (static_cast<double>(in) * out + changing), 0, rows);
    Tensor y = graph().in_slices(n, {out, rows, 1, 1}, 1, [&](int64_t begin, int64_t end) {
        Tensor part = ggml_view_2d(ctx, flat, in, end - begin, flat->nb[1], begin * flat->nb[1]);
        Tensor product = products_.multiply(layer.weight, part, layer.wide);
        if (!is_changed) return product;
        const auto & [down, up] = changed->second;
        return ggml_add(ctx, product, products_.multiply(up, products_.multiply(down, part, layer.wide), layer.wide));
    });
    if (layer.bias) y = ggml_add(ctx, y, layer.bias);
    return apply(epilogue, ggml_reshape_4d(ctx, y, out, x->ne[1], x->ne[2], x->ne[3]));
}

Tensor GgmlLayers::token_norm(NormKind kind, const Norm & norm, Tensor x, float eps, const Modulation & m, bool) {
    ggml_context * ctx = context();
    // A vector of each image, shaped to broadcast over its tokens.
    const auto per_image = [&](Tensor v) { return ggml_reshape_3d(ctx, v, v->ne[0], 1, v->ne[1]); };
    Tensor y = kind == NormKind::layer ? ggml_norm(ctx, x, eps) : ggml_rms_norm(ctx, x, eps);
    if (norm.weight) y = ggml_mul(ctx, y, norm.weight);
    if (m.factor) y = ggml_mul(ctx, y, per_image(m.factor));
    if (norm.bias) y = ggml_add(ctx, y, norm.bias);
    if (m.shift) y = ggml_add(ctx, y, per_image(m.shift));
    if (m.residual) y = ggml_add(ctx, y, m.residual);
    return y;
}

Tensor GgmlLayers::turn_heads(Tensor weight, float eps, const Rotation & rotation, Tensor x) {
    ggml_context * ctx = context();
    const Tensor angles = rotation.angles;
    const int64_t size = angles->ne[0], heads = x->ne[0] / size, tokens = x->ne[1], batch = x->ne[2];
    Tensor y = ggml_reshape_4d(ctx, x, size, heads, tokens, batch);
    if (weight) y = ggml_mul(ctx, ggml_rms_norm(ctx, y, eps), weight);
    const auto part = [&](int64_t i) {
        return ggml_view_3d(ctx, angles, size, 1, tokens, angles->nb[1], angles->nb[2], i * angles->nb[1]);
    };
    // The pairs as rows of two, and these exchanged.
    const bool neighbours = rotation.pairs == Rotation::neighbours;
    const int64_t length = neighbours ? 1 : size / 2;
    Tensor pairs = ggml_reshape_3d(ctx, y, length, 2, ggml_nelements(y) / (2 * length));
    const auto half = [&](int64_t i) {
        return ggml_cont(
            ctx, ggml_view_3d(ctx, pairs, length, 1, pairs->ne[2], pairs->nb[1], pairs->nb[2], i * pairs->nb[1]));
    };
    Tensor others = ggml_reshape_4d(ctx, ggml_concat(ctx, half(1), half(0), 1), size, heads, tokens, batch);
    y = ggml_add(ctx, ggml_mul(ctx, y, part(0)), ggml_mul(ctx, others, part(1)));
    return expand(ggml_reshape_3d(ctx, y, size * heads, tokens, batch));
}

Tensor GgmlLayers::attention(Tensor q, Tensor k, Tensor v, int64_t heads, bool causal) {
    ggml_context * ctx = context();
    const int64_t channels = q->ne[0], batch = q->ne[2], keys = k->ne[1], size = channels / heads;
    const int64_t key_heads = k->ne[0] / size;
    if (!causal) {
        Tensor fused = products_.attend(q, k, v, heads);
        if (fused) return fused;
    }
    k = ggml_cont(ctx, ggml_permute(ctx, ggml_reshape_4d(ctx, k, size, key_heads, keys, batch), 0, 2, 1, 3));
    v = ggml_cont(ctx, ggml_permute(ctx, ggml_reshape_4d(ctx, v, size, key_heads, keys, batch), 1, 2, 0, 3));
    return attend(q, k, v, heads, causal);
}

// k [size, keys, heads, batch], v [keys, size, heads, batch]; a product repeats heads of which there are fewer.
Tensor GgmlLayers::attend(Tensor q, Tensor k, Tensor v, int64_t heads, bool causal) {
    ggml_context * ctx = context();
    const int64_t channels = q->ne[0], queries = q->ne[1], batch = q->ne[2], keys = k->ne[1];
    const int64_t size = channels / heads;
    const float scale = 1.0f / std::sqrt(static_cast<float>(size));

    q = ggml_cont(ctx, ggml_permute(ctx, ggml_reshape_4d(ctx, q, size, heads, queries, batch), 0, 2, 1, 3));
    expand(q), expand(k), expand(v);

    // The attention scores of a slice are the largest tensor in memory; slicing bounds them together with the work.
    const double work = (4.0 * channels + Graph::number_work * heads) * queries * keys * batch;
    const int64_t n = causal ? 1 : graph().slices(work, scores_bytes(q, keys, heads), queries);
    Tensor y = graph().in_slices(n, {size, heads, queries, batch}, 2, [&](int64_t begin, int64_t end) {
        Tensor part = q;
        if (n > 1) {
            part = ggml_cont(ctx, ggml_view_4d(ctx, q, size, end - begin, heads, batch, q->nb[1], q->nb[2], q->nb[3],
                                               begin * q->nb[1]));
        }
        Tensor scores = expand(products_.multiply(k, part)); // [keys, queries, heads, batch]
        if (causal) {
            scores =
                ggml_soft_max_inplace(ctx, ggml_diag_mask_inf_inplace(ctx, ggml_scale_inplace(ctx, scores, scale), 0));
        } else {
            scores = ggml_soft_max_ext_inplace(ctx, scores, nullptr, scale, 0.0f);
        }
        Tensor result = products_.multiply(v, scores); // [size, queries, heads, batch]
        return ggml_cont(ctx, ggml_permute(ctx, result, 0, 2, 1, 3));
    });
    return ggml_reshape_3d(ctx, y, channels, queries, batch);
}

} // namespace

std::unique_ptr<Layers> make_ggml_layers(Graph & graph, const LowRankProducts & changes,
                                         const GgmlArithmetic & arithmetic) {
    return std::make_unique<GgmlLayers>(graph, changes, arithmetic);
}

} // namespace diffusion
