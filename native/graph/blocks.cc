// See blocks.h. Where the graph has no kernels of ours, layers are operations of ggml, and an image is [width, height,
// channels, batch].
#include "graph/blocks.h"

#include <cmath>

#include "cpu/operations.h"
#include "graph/blocks_cpu.h"

namespace diffusion {

namespace {

// A per-channel vector as it broadcasts over an image.
Tensor per_channel(ggml_context * ctx, Tensor vector) {
    return ggml_reshape_4d(ctx, vector, 1, 1, vector->ne[0], 1);
}

// The product of unfolded image rows and a kernel. columns [kw*kh*in, width, rows, batch] -> [width, rows, out, batch]
Tensor multiply_columns(ggml_context * ctx, Tensor kernel, Tensor columns) {
    const int64_t width = columns->ne[1], rows = columns->ne[2], batch = columns->ne[3];
    const int64_t depth = columns->ne[0], out = kernel->ne[3];
    Tensor matrix = ggml_reshape_2d(ctx, kernel, depth, out);
    Tensor flat = ggml_reshape_2d(ctx, columns, depth, width * rows * batch);
    if (columns->type == kernel->type) {
        // Pixels first, so that the result is an image without a transposition.
        Tensor y = ggml_mul_mat(ctx, flat, matrix);
        if (batch > 1) {
            y = ggml_cont(ctx, ggml_permute(ctx, ggml_reshape_3d(ctx, y, width * rows, batch, out), 0, 2, 1, 3));
        }
        return ggml_reshape_4d(ctx, y, width, rows, out, batch);
    }
    Tensor y = ggml_reshape_3d(ctx, ggml_mul_mat(ctx, matrix, flat), out, width * rows, batch);
    return ggml_reshape_4d(ctx, ggml_cont(ctx, ggml_permute(ctx, y, 1, 0, 2, 3)), width, rows, out, batch);
}

// PReLU: with a slope of its own left of zero for each channel.
Tensor prelu(ggml_context * ctx, Tensor x, Tensor slopes) {
    Tensor negative = ggml_relu(ctx, ggml_neg(ctx, x));
    return ggml_sub(ctx, ggml_relu(ctx, x), ggml_mul(ctx, negative, per_channel(ctx, slopes)));
}

Tensor activate(ggml_context * ctx, const Finish & finish, Tensor x) {
    switch (finish.activation) {
        case Activation::none: break;
        case Activation::silu: return ggml_silu(ctx, x);
        // Written out, because ggml's own goes through a table of halves.
        case Activation::quick_gelu: return ggml_mul(ctx, x, ggml_sigmoid(ctx, ggml_scale(ctx, x, 1.702f)));
        case Activation::gelu: return ggml_gelu_erf(ctx, x);
        case Activation::relu: return ggml_relu(ctx, x);
        case Activation::leaky_relu:
            return finish.slopes ? prelu(ctx, x, finish.slopes) : ggml_leaky_relu(ctx, x, 0.2f, false);
        case Activation::gated_gelu: return ggml_geglu_erf_swapped(ctx, x);
    }
    return x;
}

Tensor apply(Graph & graph, const Finish & finish, Tensor y) {
    ggml_context * ctx = graph.context();
    if (finish.image_bias) {
        const Tensor b = finish.image_bias;
        y = ggml_add(ctx, y, ggml_reshape_4d(ctx, b, 1, 1, b->ne[0], b->ne[1]));
    }
    if (!finish.activate_last) y = activate(ctx, finish, y);
    if (finish.scale != 1) y = ggml_scale(ctx, y, finish.scale);
    if (finish.residual) y = ggml_add(ctx, y, finish.residual);
    if (finish.activate_last) y = activate(ctx, finish, y);
    return graph.expand(y);
}

Tensor normed(Graph & graph, const Norm & norm, float eps, Tensor x) {
    ggml_context * ctx = graph.context();
    Tensor y = ggml_group_norm(ctx, x, group_count, eps);
    return ggml_add(ctx, ggml_mul(ctx, y, per_channel(ctx, norm.weight)), per_channel(ctx, norm.bias));
}

// [width, height, channels, batch] <-> [channels, width * height, batch]
Tensor to_tokens(ggml_context * ctx, Tensor image) {
    Tensor flat = ggml_reshape_3d(ctx, image, image->ne[0] * image->ne[1], image->ne[2], image->ne[3]);
    return ggml_cont(ctx, ggml_permute(ctx, flat, 1, 0, 2, 3));
}

Tensor from_tokens(ggml_context * ctx, Tensor tokens, int64_t width, int64_t height) {
    Tensor planes = ggml_cont(ctx, ggml_permute(ctx, tokens, 1, 0, 2, 3)); // [width * height, channels, batch]
    return ggml_reshape_4d(ctx, planes, width, height, tokens->ne[0], tokens->ne[2]);
}

// With pixels left and above, and right and below: those of the other side where the graph wraps, zeros where not.
Tensor with_border(Graph & graph, Tensor x, int before, int after) {
    ggml_context * ctx = graph.context();
    const Wrap wrap = graph.wrap();
    const auto pad = [&](bool circular, bool along_x, bool along_y) {
        const auto pad_ext = circular ? ggml_pad_ext_circular : ggml_pad_ext;
        const int bx = along_x ? before : 0, ax = along_x ? after : 0, by = along_y ? before : 0,
                  ay = along_y ? after : 0;
        return pad_ext(ctx, x, bx, ax, by, ay, 0, 0, 0, 0);
    };
    if (wrap.x == wrap.y) return pad(wrap.x, true, true);
    x = pad(true, wrap.x, wrap.y);
    return pad(false, wrap.y, wrap.x);
}

Tensor convolve(Graph & graph, const Conv2d & layer, Tensor x, int stride, int padding, const Finish & finish) {
    ggml_context * ctx = graph.context();
    if (padding > 0 && (graph.wrap().x || graph.wrap().y)) {
        x = with_border(graph, x, padding, padding);
        padding = 0;
    }
    const Tensor w = layer.weight;
    const int64_t kernel_height = w->ne[1], out = w->ne[3], batch = x->ne[3];
    const int64_t width = (x->ne[0] + 2 * padding - w->ne[0]) / stride + 1;
    const int64_t height = (x->ne[1] + 2 * padding - kernel_height) / stride + 1;
    // im2col writes f16 and f32 only; for other kernels the product converts.
    const ggml_type column_type = w->type == GGML_TYPE_F16 ? GGML_TYPE_F16 : GGML_TYPE_F32;

    const double columns_size = 1.0 * w->ne[0] * kernel_height * w->ne[2] * width * height * batch;
    const int64_t n = graph.slices(columns_size * (2.0 * out + Graph::number_work), height);
    // A slice sees its own rows only, so the rows above and below the image must exist.
    Tensor padded = n > 1 && padding > 0 ? ggml_pad_ext(ctx, x, 0, 0, padding, padding, 0, 0, 0, 0) : x;
    Tensor y = graph.in_slices(n, {width, height, out, batch}, 1, [&](int64_t begin, int64_t end) {
        Tensor rows = padded;
        if (n > 1) {
            rows = ggml_view_4d(ctx, padded, padded->ne[0], (end - begin - 1) * stride + kernel_height, padded->ne[2],
                                batch, padded->nb[1], padded->nb[2], padded->nb[3], begin * stride * padded->nb[1]);
        }
        Tensor columns =
            ggml_im2col(ctx, w, rows, stride, stride, padding, n > 1 ? 0 : padding, 1, 1, true, column_type);
        return multiply_columns(ctx, w, columns);
    });
    if (layer.bias) y = ggml_add(ctx, y, per_channel(ctx, layer.bias));
    return apply(graph, finish, y);
}

Tensor convolve(Graph & graph, const Conv2d & layer, Tensor x, Activation before, const Sampling & sampling,
                const Finish & finish) {
    ggml_context * ctx = graph.context();
    Finish first;
    first.activation = before;
    x = activate(ctx, first, x);
    if (sampling.kind == Sampling::resized) {
        x = ggml_interpolate(ctx, x, sampling.width, sampling.height, x->ne[2], x->ne[3], GGML_SCALE_MODE_NEAREST);
    }
    const auto [left, right] = sampling.margins(layer.weight->ne[0]);
    const bool even = left == right;
    if (!even) x = with_border(graph, x, static_cast<int>(left), static_cast<int>(right));
    return convolve(graph, layer, x, static_cast<int>(sampling.stride()), even ? static_cast<int>(left) : 0, finish);
}

} // namespace

Tensor to_image(Graph & graph, Tensor planes) {
    return graph.cpu() ? cpu::to_image(graph, planes) : planes;
}

Tensor from_image(Graph & graph, Tensor image) {
    return graph.cpu() ? cpu::from_image(graph, image) : image;
}

int64_t image_width(const Graph & graph, Tensor image) {
    return image->ne[graph.cpu() ? 1 : 0];
}

int64_t image_height(const Graph & graph, Tensor image) {
    return image->ne[graph.cpu() ? 2 : 1];
}

Tensor pixel_shuffle(Graph & graph, Tensor planes, int64_t r) {
    ggml_context * ctx = graph.context();
    const int64_t width = planes->ne[0], height = planes->ne[1], channels = planes->ne[2] / (r * r);
    const int64_t batch = planes->ne[3];
    // The channel's index counts columns first, then rows, then channels of the result.
    Tensor y = ggml_reshape_4d(ctx, planes, width, height, r, r * channels * batch);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 1, 2, 0, 3)); // [r, width, height, r * channels * batch]
    y = ggml_reshape_4d(ctx, y, r * width, height, r, channels * batch);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 0, 2, 1, 3)); // [r * width, r, height, channels * batch]
    return graph.expand(ggml_reshape_4d(ctx, y, r * width, r * height, channels, batch));
}

Tensor pixel_unshuffle(Graph & graph, Tensor planes, int64_t r) {
    ggml_context * ctx = graph.context();
    const int64_t width = planes->ne[0] / r, height = planes->ne[1] / r, channels = planes->ne[2],
                  batch = planes->ne[3];
    Tensor y = ggml_reshape_4d(ctx, planes, r * width, r, height, channels * batch);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 0, 2, 1, 3)); // [r * width, height, r, channels * batch]
    y = ggml_reshape_4d(ctx, y, r, width, height, r * channels * batch);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 2, 0, 1, 3)); // [width, height, r, r * channels * batch]
    return graph.expand(ggml_reshape_4d(ctx, y, width, height, r * r * channels, batch));
}

Tensor concat(Graph & graph, Tensor image, Tensor other) {
    return graph.cpu() ? cpu::concat(graph, image, other) : ggml_concat(graph.context(), image, other, 2);
}

Tensor conv2d(Graph & graph, const Conv2d & layer, Tensor image, const Sampling & sampling, const Finish & finish,
              Activation before) {
    if (graph.cpu()) return cpu::conv2d(graph, layer, image, sampling, finish, before);
    return convolve(graph, layer, image, before, sampling, finish);
}

Tensor norm_conv2d(Graph & graph, const Norm & norm, float eps, const Conv2d & layer, Tensor image,
                   const Finish & finish, Activation activation, const Sampling & sampling) {
    if (graph.cpu()) return cpu::norm_conv2d(graph, norm, eps, layer, image, finish, activation, sampling);
    return convolve(graph, layer, normed(graph, norm, eps, image), activation, sampling, finish);
}

Tensor group_norm(Graph & graph, const Norm & norm, float eps, Tensor image, Tensor residual, bool relu) {
    if (graph.cpu()) return cpu::group_norm(graph, norm, eps, image, residual, relu);
    Finish finish;
    finish.residual = residual;
    finish.activation = relu ? Activation::relu : Activation::none;
    finish.activate_last = true;
    return apply(graph, finish, normed(graph, norm, eps, image));
}

Tensor max_pool(Graph & graph, Tensor image) {
    if (graph.cpu()) return add_max_pool(graph, image);
    Tensor padded = ggml_pad(graph.context(), image, 1, 1, 0, 0);
    return graph.expand(ggml_pool_2d(graph.context(), padded, GGML_OP_POOL_MAX, 3, 3, 2, 2, 0, 0));
}

Tensor bilinear(Graph & graph, Tensor image, int64_t width, int64_t height, bool align_corners) {
    if (graph.cpu()) return add_bilinear(graph, image, width, height, align_corners);
    const uint32_t mode = GGML_SCALE_MODE_BILINEAR | (align_corners ? GGML_SCALE_FLAG_ALIGN_CORNERS : 0);
    return graph.expand(ggml_interpolate(graph.context(), image, width, height, image->ne[2], image->ne[3], mode));
}

Tensor pointwise(Graph & graph, const Linear & layer, Tensor image) {
    if (graph.cpu()) return cpu::linear(graph, layer, image, {});
    Tensor tokens = linear(graph, layer, to_tokens(graph.context(), image));
    return from_tokens(graph.context(), tokens, image->ne[0], image->ne[1]);
}

Tensor to_tokens(Graph & graph, Tensor image) {
    if (!graph.cpu()) return to_tokens(graph.context(), image);
    return ggml_reshape_3d(graph.context(), image, image->ne[0], image->ne[1] * image->ne[2], image->ne[3]);
}

Tensor from_tokens(Graph & graph, Tensor tokens, int64_t width, int64_t height) {
    if (!graph.cpu()) return from_tokens(graph.context(), tokens, width, height);
    return ggml_reshape_4d(graph.context(), tokens, tokens->ne[0], width, height, tokens->ne[2]);
}

Tensor norm_tokens(Graph & graph, const Norm & norm, float eps, Tensor image) {
    if (graph.cpu()) return cpu::norm_tokens(graph, norm, eps, image);
    return to_tokens(graph.context(), normed(graph, norm, eps, image));
}

Tensor add_tokens(Graph & graph, const Linear & layer, Tensor tokens, Tensor image) {
    if (graph.cpu()) return cpu::add_tokens(graph, layer, tokens, image);
    Tensor y = from_tokens(graph.context(), linear(graph, layer, tokens), image->ne[0], image->ne[1]);
    return graph.expand(ggml_add(graph.context(), image, y));
}

Tensor linear(Graph & graph, const Linear & layer, Tensor x, const Finish & finish) {
    if (graph.cpu()) return cpu::linear(graph, layer, x, finish);
    ggml_context * ctx = graph.context();
    const int64_t in = layer.weight->ne[0], out = layer.weight->ne[1];
    const int64_t rows = x->ne[1] * x->ne[2] * x->ne[3];
    Tensor flat = ggml_reshape_2d(ctx, x, in, rows);
    const int64_t n = graph.slices(2.0 * in * out * rows, rows);
    Tensor y = graph.in_slices(n, {out, rows, 1, 1}, 1, [&](int64_t begin, int64_t end) {
        Tensor part = ggml_view_2d(ctx, flat, in, end - begin, flat->nb[1], begin * flat->nb[1]);
        return ggml_mul_mat(ctx, layer.weight, part);
    });
    if (layer.bias) y = ggml_add(ctx, y, layer.bias);
    return apply(graph, finish, ggml_reshape_4d(ctx, y, out, x->ne[1], x->ne[2], x->ne[3]));
}

Tensor layer_norm(Graph & graph, const Norm & norm, Tensor x, bool last, float eps) {
    if (graph.cpu()) return cpu::layer_norm(graph, norm, x, last, eps);
    ggml_context * ctx = graph.context();
    return ggml_add(ctx, ggml_mul(ctx, ggml_norm(ctx, x, eps), norm.weight), norm.bias);
}

Tensor attention(Graph & graph, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal) {
    if (graph.cpu()) return cpu::attention(graph, q, k, v, heads, causal);
    ggml_context * ctx = graph.context();
    const int64_t channels = q->ne[0], queries = q->ne[1], batch = q->ne[2], keys = k->ne[1];
    const int64_t size = channels / heads;
    const float scale = 1.0f / std::sqrt(static_cast<float>(size));

    const auto by_head = [&](Tensor x, int64_t tokens) { // -> [size, tokens, heads, batch]
        return ggml_cont(ctx, ggml_permute(ctx, ggml_reshape_4d(ctx, x, size, heads, tokens, batch), 0, 2, 1, 3));
    };
    q = by_head(q, queries);
    k = by_head(k, keys);
    v = ggml_cont(ctx, ggml_permute(ctx, ggml_reshape_4d(ctx, v, size, heads, keys, batch), 1, 2, 0, 3));
    graph.expand(q), graph.expand(k), graph.expand(v);

    // The score matrix of a slice is the largest thing in memory; slicing bounds it together with the work.
    const double work = (4.0 * channels + Graph::number_work * heads) * queries * keys * batch;
    const int64_t n = causal ? 1 : graph.slices(work, queries);
    Tensor y = graph.in_slices(n, {size, heads, queries, batch}, 2, [&](int64_t begin, int64_t end) {
        Tensor part = q;
        if (n > 1) {
            part = ggml_cont(ctx, ggml_view_4d(ctx, q, size, end - begin, heads, batch, q->nb[1], q->nb[2], q->nb[3],
                                               begin * q->nb[1]));
        }
        Tensor scores = ggml_mul_mat(ctx, k, part); // [keys, queries, heads, batch]
        ggml_prec_set_acc(scores, GGML_PREC_F32);
        graph.expand(scores);
        if (causal) {
            scores =
                ggml_soft_max_inplace(ctx, ggml_diag_mask_inf_inplace(ctx, ggml_scale_inplace(ctx, scores, scale), 0));
        } else {
            scores = ggml_soft_max_ext_inplace(ctx, scores, nullptr, scale, 0.0f);
        }
        Tensor result = ggml_mul_mat(ctx, v, scores); // [size, queries, heads, batch]
        return ggml_cont(ctx, ggml_permute(ctx, result, 0, 2, 1, 3));
    });
    return ggml_reshape_3d(ctx, y, channels, queries, batch);
}

} // namespace diffusion
