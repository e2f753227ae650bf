// See ggml_products.h.
#include "graph/ggml_products.h"

#include <algorithm>
#include <cmath>

namespace diffusion {

bool GgmlProducts::is_supported(Tensor tensor) const {
    return arithmetic_.device && ggml_backend_supports_op(arithmetic_.device, tensor);
}

Tensor GgmlProducts::multiply(Tensor a, Tensor b, bool wide) {
    ggml_context * ctx = graph_.context();
    // Devices multiply bf16 with bf16 only.
    if (arithmetic_.exact && a->type == GGML_TYPE_BF16) {
        a = graph_.once(a, [&] { return graph_.expand(ggml_cast(ctx, a, GGML_TYPE_F32)); });
    }
    Tensor y = ggml_mul_mat(ctx, a, b);
    ggml_prec_set_acc(y, GGML_PREC_F32);
    // Rounding to f16 costs an image less than that of weights does; rounding to 8 bits costs more.
    const ggml_prec rounded = wide ? GGML_PREC_BF16 : GGML_PREC_F16;
    ggml_prec_set_src(y, arithmetic_.exact ? GGML_PREC_F32 : rounded, 1);
    return y;
}

Tensor GgmlProducts::convolve(Tensor kernel, Tensor image, int stride, int padding) {
    if (arithmetic_.convolves) {
        Tensor y = convolve_directly(kernel, image, stride, padding);
        if (y) return y;
    }
    ggml_context * ctx = graph_.context();
    const int64_t kernel_height = kernel->ne[1], out = kernel->ne[3], batch = image->ne[3];
    const int64_t width = (image->ne[0] + 2 * padding - kernel->ne[0]) / stride + 1;
    const int64_t height = (image->ne[1] + 2 * padding - kernel_height) / stride + 1;
    // im2col only writes f16 and f32; for other weight types the matrix product converts.
    const ggml_type column_type = kernel->type == GGML_TYPE_F16 && !arithmetic_.exact ? GGML_TYPE_F16 : GGML_TYPE_F32;

    const double columns_size = 1.0 * kernel->ne[0] * kernel_height * kernel->ne[2] * width * height * batch;
    const int64_t n = graph_.slices(columns_size * (2.0 * out + Graph::number_work),
                                    columns_size * static_cast<double>(ggml_type_size(column_type)), height);
    return graph_.in_slices(n, {width, height, out, batch}, 1, [&](int64_t begin, int64_t end) {
        Tensor rows = image;
        if (n > 1) rows = image_rows(image, begin * stride - padding, (end - 1) * stride - padding + kernel_height);
        Tensor columns =
            ggml_im2col(ctx, kernel, rows, stride, stride, padding, n > 1 ? 0 : padding, 1, 1, true, column_type);
        return multiply_columns(kernel, columns);
    });
}

// nullptr if the device does not support it.
Tensor GgmlProducts::convolve_directly(Tensor kernel, Tensor image, int stride, int padding) {
    Tensor y = ggml_conv_2d_direct(graph_.context(), kernel, image, stride, stride, padding, padding, 1, 1);
    ggml_prec_set_acc(y, GGML_PREC_F32);
    return is_supported(y) ? graph_.expand(y) : nullptr;
}

// The product of unfolded image rows and a kernel. columns [kw*kh*in, width, rows, batch] -> [width, rows, out, batch]
Tensor GgmlProducts::multiply_columns(Tensor kernel, Tensor columns) {
    ggml_context * ctx = graph_.context();
    const int64_t width = columns->ne[1], rows = columns->ne[2], batch = columns->ne[3];
    const int64_t depth = columns->ne[0], out = kernel->ne[3];
    Tensor matrix = ggml_reshape_2d(ctx, kernel, depth, out);
    Tensor flat = ggml_reshape_2d(ctx, columns, depth, width * rows * batch);
    const bool is_product = columns->type == kernel->type || (arithmetic_.exact && kernel->type == GGML_TYPE_F16);
    if (is_product) {
        // Pixels first, so that the result is an image without a transposition.
        Tensor y = multiply(flat, matrix);
        if (batch > 1) {
            y = ggml_cont(ctx, ggml_permute(ctx, ggml_reshape_3d(ctx, y, width * rows, batch, out), 0, 2, 1, 3));
        }
        return ggml_reshape_4d(ctx, y, width, rows, out, batch);
    }
    Tensor y = ggml_reshape_3d(ctx, multiply(matrix, flat), out, width * rows, batch);
    return ggml_reshape_4d(ctx, ggml_cont(ctx, ggml_permute(ctx, y, 1, 0, 2, 3)), width, rows, out, batch);
}

// The rows of an image from `first` to before `end`. Those beyond its edges are zeros.
Tensor GgmlProducts::image_rows(Tensor x, int64_t first, int64_t end) const {
    ggml_context * ctx = graph_.context();
    const int64_t from = std::max<int64_t>(first, 0), to = std::min(end, x->ne[1]);
    Tensor rows = ggml_cont(ctx, ggml_view_4d(ctx, x, x->ne[0], to - from, x->ne[2], x->ne[3], x->nb[1], x->nb[2],
                                              x->nb[3], from * x->nb[1]));
    const auto above = static_cast<int>(from - first), below = static_cast<int>(end - to);
    return above + below > 0 ? ggml_pad_ext(ctx, rows, 0, 0, above, below, 0, 0, 0, 0) : rows;
}

Tensor GgmlProducts::attend(Tensor q, Tensor k, Tensor v, int64_t heads) {
    // It multiplies in f16.
    if (!arithmetic_.device || arithmetic_.exact) return nullptr;
    ggml_context * ctx = graph_.context();
    const int64_t channels = q->ne[0], queries = q->ne[1], batch = q->ne[2], size = channels / heads;
    const auto by_head = [&](Tensor x) {
        return ggml_permute(ctx, ggml_reshape_4d(ctx, x, size, x->ne[0] / size, x->ne[1], batch), 0, 2, 1, 3);
    };
    const float scale = 1.0f / std::sqrt(static_cast<float>(size));
    Tensor y = ggml_flash_attn_ext(ctx, by_head(q), ggml_cast(ctx, by_head(k), GGML_TYPE_F16),
                                   ggml_cast(ctx, by_head(v), GGML_TYPE_F16), nullptr, scale, 0.0f, 0.0f);
    ggml_prec_set_acc(y, GGML_PREC_F32);
    if (!is_supported(y)) return nullptr;
    return ggml_reshape_3d(ctx, graph_.expand(y), channels, queries, batch);
}

} // namespace diffusion
