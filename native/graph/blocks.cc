// See blocks.h.
#include "graph/blocks.h"

#include <cmath>

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

} // namespace

Tensor linear(Graph & graph, const Linear & layer, Tensor x) {
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
    return graph.expand(ggml_reshape_4d(ctx, y, out, x->ne[1], x->ne[2], x->ne[3]));
}

Tensor pointwise(Graph & graph, const Linear & layer, Tensor image) {
    return to_image(graph, linear(graph, layer, to_tokens(graph, image)), image->ne[0], image->ne[1]);
}

Tensor conv2d(Graph & graph, const Conv2d & layer, Tensor x, int stride, int padding) {
    ggml_context * ctx = graph.context();
    const Tensor w = layer.weight;
    const int64_t kernel_height = w->ne[1], out = w->ne[3], batch = x->ne[3];
    const int64_t width = (x->ne[0] + 2 * padding - w->ne[0]) / stride + 1;
    const int64_t height = (x->ne[1] + 2 * padding - kernel_height) / stride + 1;
    // im2col writes f16 and f32 only; for other kernels the product converts.
    const ggml_type column_type = w->type == GGML_TYPE_F16 ? GGML_TYPE_F16 : GGML_TYPE_F32;

    const double columns_size = 1.0 * w->ne[0] * kernel_height * w->ne[2] * width * height * batch;
    const int64_t n = graph.slices(columns_size * (2.0 * out + Graph::number_work), height);
    // A slice sees its own rows only, so the rows above and below the image must exist.
    Tensor padded = n > 1 ? ggml_pad_ext(ctx, x, 0, 0, padding, padding, 0, 0, 0, 0) : x;
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
    return graph.expand(ggml_add(ctx, y, per_channel(ctx, layer.bias)));
}

Tensor layer_norm(Graph & graph, const Norm & norm, Tensor x) {
    ggml_context * ctx = graph.context();
    return ggml_add(ctx, ggml_mul(ctx, ggml_norm(ctx, x, 1e-5f), norm.weight), norm.bias);
}

Tensor group_norm(Graph & graph, const Norm & norm, Tensor x, float eps) {
    ggml_context * ctx = graph.context();
    Tensor y = ggml_group_norm(ctx, x, group_count, eps);
    return ggml_add(ctx, ggml_mul(ctx, y, per_channel(ctx, norm.weight)), per_channel(ctx, norm.bias));
}

Tensor attention(Graph & graph, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal) {
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

Tensor to_tokens(Graph & graph, Tensor image) {
    ggml_context * ctx = graph.context();
    Tensor flat = ggml_reshape_3d(ctx, image, image->ne[0] * image->ne[1], image->ne[2], image->ne[3]);
    return ggml_cont(ctx, ggml_permute(ctx, flat, 1, 0, 2, 3));
}

Tensor to_image(Graph & graph, Tensor tokens, int64_t width, int64_t height) {
    ggml_context * ctx = graph.context();
    Tensor planes = ggml_cont(ctx, ggml_permute(ctx, tokens, 1, 0, 2, 3)); // [width * height, channels, batch]
    return ggml_reshape_4d(ctx, planes, width, height, tokens->ne[0], tokens->ne[2]);
}

Tensor resize_nearest(Graph & graph, Tensor image, int64_t width, int64_t height) {
    return ggml_interpolate(graph.context(), image, width, height, image->ne[2], image->ne[3], GGML_SCALE_MODE_NEAREST);
}

} // namespace diffusion
