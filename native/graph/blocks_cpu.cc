// See blocks_cpu.h.
#include "graph/blocks_cpu.h"

#include <algorithm>

#include "cpu/operations.h"

namespace diffusion::cpu {

namespace {

Placement around(const Graph & graph, Tensor image, int64_t before, int64_t after) {
    return {image->ne[1], image->ne[2], before, after, graph.wrap()};
}

// x in the type that products take, whatever came before.
Tensor as_operand(Graph & graph, Tensor x) {
    const Kernels & kernels = graph.cpu()->kernels;
    if (x->type == kernels.operand && x->ne[0] % kernels.depth == 0) return x;
    return graph.once(x, [&] {
        Tensor rows = ggml_reshape_3d(graph.context(), x, x->ne[0], x->ne[1], x->ne[2] * x->ne[3]);
        Tensor y = add_prepared(graph, rows, nullptr, Activation::none, around(graph, rows, 0, 0));
        return ggml_reshape_4d(graph.context(), y, y->ne[0], x->ne[1], x->ne[2], x->ne[3]);
    });
}

// Winograd's way pays off where there are many pixels for each weight, and where the transformed weights, read again for
// each group of patches, stay in the third-level cache. It takes more memory for them, so small images do without, and weights of fewer than 16 bits.
bool is_for_winograd(const CpuPath & cpu, Tensor w, int64_t width, int64_t height, int64_t batch) {
    constexpr int64_t least_pixels = 1024, least_channels = 64, most_bytes = int64_t{16} << 20;
    const int64_t bytes = 16 * w->ne[2] * w->ne[3] * cpu.kernels.operand_size;
    return w->ne[0] == 3 && w->ne[1] == 3 && width % 2 == 0 && height % 2 == 0 &&
           width * height * batch >= least_pixels && std::min(w->ne[2], w->ne[3]) >= least_channels &&
           bytes <= most_bytes && cpu.weights.unpacked_bytes(w) >= ggml_nelements(w) * sizeof(ggml_fp16_t);
}

// A convolution of an image that is laid out with the zeros it needs around it.
Tensor convolve(Graph & graph, const Conv2d & layer, Tensor a, int64_t stride, const Finish & finish) {
    const Tensor w = layer.weight;
    const int64_t channels = a->ne[0];
    const int64_t width = (a->ne[1] - w->ne[0]) / stride + 1, height = (a->ne[2] - w->ne[1]) / stride + 1;
    CpuPath & cpu = *graph.cpu();
    if (stride == 1 && is_for_winograd(cpu, w, width, height, a->ne[3])) {
        return add_winograd(graph, cpu.weights.matrix(w, WeightForm::winograd), a, layer.bias, finish);
    }
    RowLayout layout;
    layout.row_stride = stride * channels;
    layout.line_stride = stride * a->ne[1] * channels;
    layout.image_stride = a->ne[2] * a->ne[1] * channels;
    layout.line_rows = width;
    layout.image_lines = height;
    for (int64_t y = 0; y < w->ne[1]; y++) {
        for (int64_t x = 0; x < w->ne[0]; x++) layout.segments.push_back({(y * a->ne[1] + x) * channels, channels});
    }
    return add_product(graph, cpu.weights.matrix(w, WeightForm::convolution), a, layout,
                       {w->ne[3], width, height, a->ne[3]}, layer.bias, finish);
}

// How the image is laid out for that.
Placement placement(const Graph & graph, Tensor image, Tensor kernel, const Sampling & sampling) {
    const auto [before, after] = sampling.margins(kernel->ne[0]);
    Placement place = around(graph, image, before, after);
    if (sampling.kind == Sampling::resized) {
        place.width = sampling.width;
        place.height = sampling.height;
    }
    return place;
}

Tensor convolve(Graph & graph, const Conv2d & layer, Tensor image, Tensor factors, Activation before,
                const Sampling & sampling, const Finish & finish) {
    Tensor a = add_prepared(graph, image, factors, before, placement(graph, image, layer.weight, sampling));
    return convolve(graph, layer, a, sampling.stride(), finish);
}

// A product of the rows of x, [in, ...] -> [out, ...].
Tensor multiply(Graph & graph, const Linear & layer, Tensor x, const Finish & finish) {
    Tensor a = as_operand(graph, x);
    const bool gated = finish.activation == Activation::gated_gelu;
    PackedMatrix & matrix =
        graph.cpu()->weights.matrix(layer.weight, gated ? WeightForm::gated_matrix : WeightForm::matrix);
    RowLayout layout;
    layout.row_stride = a->ne[0];
    layout.line_rows = ggml_nrows(a);
    layout.image_lines = 1;
    layout.segments = {{0, a->ne[0]}};
    return add_product(graph, matrix, a, layout, {layer.weight->ne[1] / (gated ? 2 : 1), a->ne[1], a->ne[2], a->ne[3]},
                       layer.bias, finish);
}

} // namespace

Tensor to_image(Graph & graph, Tensor planes) {
    return graph.expand(ggml_cont(graph.context(), ggml_permute(graph.context(), planes, 1, 2, 0, 3)));
}

Tensor from_image(Graph & graph, Tensor image) {
    return graph.expand(ggml_cont(graph.context(), ggml_permute(graph.context(), image, 2, 0, 1, 3)));
}

Tensor concat(Graph & graph, Tensor image, Tensor other) {
    return add_concat(graph, image, other);
}

Tensor conv2d(Graph & graph, const Conv2d & layer, Tensor image, const Sampling & sampling, const Finish & finish,
              Activation before) {
    return convolve(graph, layer, image, nullptr, before, sampling, finish);
}

Tensor norm_conv2d(Graph & graph, const Norm & norm, float eps, const Conv2d & layer, Tensor image,
                   const Finish & finish, Activation activation, const Sampling & sampling) {
    Tensor factors = add_group_factors(graph, norm, eps, image);
    return convolve(graph, layer, image, factors, activation, sampling, finish);
}

Tensor group_norm(Graph & graph, const Norm & norm, float eps, Tensor image, Tensor residual, bool relu) {
    return add_group_norm(graph, image, add_group_factors(graph, norm, eps, image), residual, relu);
}

Tensor norm_tokens(Graph & graph, const Norm & norm, float eps, Tensor image) {
    Tensor y = add_prepared(graph, image, add_group_factors(graph, norm, eps, image), Activation::none,
                            around(graph, image, 0, 0));
    return ggml_reshape_3d(graph.context(), y, y->ne[0], y->ne[1] * y->ne[2], y->ne[3]);
}

Tensor add_tokens(Graph & graph, const Linear & layer, Tensor tokens, Tensor image) {
    Tensor rows = ggml_reshape_3d(graph.context(), image, image->ne[0], image->ne[1] * image->ne[2], image->ne[3]);
    Finish finish;
    finish.residual = rows;
    Tensor y = multiply(graph, layer, tokens, finish);
    return ggml_reshape_4d(graph.context(), y, image->ne[0], image->ne[1], image->ne[2], image->ne[3]);
}

Tensor linear(Graph & graph, const Linear & layer, Tensor x, const Finish & finish) {
    return multiply(graph, layer, x, finish);
}

Tensor layer_norm(Graph & graph, const Norm & norm, Tensor x, bool last, float eps) {
    return add_layer_norm(graph, norm, x, !last, eps);
}

Tensor attention(Graph & graph, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal) {
    return add_attention(graph, as_operand(graph, q), as_operand(graph, k), as_operand(graph, v), heads, causal);
}

} // namespace diffusion::cpu
