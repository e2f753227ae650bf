// The layers with this package's kernels. Images are [channels, width, height, batch]; inputs of matrix products have
// the kernels' operand type, everything else is f32.
#include <algorithm>

#include "cpu/operations.h"
#include "graph/layers.h"

namespace diffusion {

namespace {

class CpuLayers : public Layers {
public:
    CpuLayers(Graph & graph, CpuContext & cpu) : Layers(graph), cpu_(cpu) {}

    Tensor to_image(Tensor planes) override {
        return expand(ggml_cont(context(), ggml_permute(context(), planes, 1, 2, 0, 3)));
    }

    Tensor from_image(Tensor image) override {
        return expand(ggml_cont(context(), ggml_permute(context(), image, 2, 0, 1, 3)));
    }

    int64_t image_width(Tensor image) const override { return image->ne[1]; }
    int64_t image_height(Tensor image) const override { return image->ne[2]; }

    Tensor concat(Tensor image, Tensor other) override { return add(concat_node(image, other)); }

    Tensor conv2d(const Conv2d & layer, Tensor image, const Geometry & geometry, const Epilogue & epilogue,
                  Activation before) override {
        return convolve(layer, image, nullptr, before, geometry, epilogue);
    }

    Tensor norm_conv2d(const Norm & norm, float eps, const Conv2d & layer, Tensor image, const Epilogue & epilogue,
                       Activation activation, const Geometry & geometry) override {
        return convolve(layer, image, group_factors(norm, eps, image), activation, geometry, epilogue);
    }

    Tensor group_norm(const Norm & norm, float eps, Tensor image, Tensor residual, bool relu) override {
        return add(group_norm_node(image, group_factors(norm, eps, image), residual, relu));
    }

    Tensor max_pool(Tensor image) override { return add(max_pool_node(image)); }

    Tensor bilinear(Tensor image, int64_t width, int64_t height, bool align_corners) override {
        return add(bilinear_node(image, width, height, align_corners));
    }

    Tensor pointwise(const Linear & layer, Tensor image) override { return linear(layer, image, {}); }

    Tensor to_tokens(Tensor image) override {
        return ggml_reshape_3d(context(), image, image->ne[0], image->ne[1] * image->ne[2], image->ne[3]);
    }

    Tensor from_tokens(Tensor tokens, int64_t width, int64_t height) override {
        return ggml_reshape_4d(context(), tokens, tokens->ne[0], width, height, tokens->ne[2]);
    }

    Tensor norm_tokens(const Norm & norm, float eps, Tensor image) override {
        return to_tokens(as_input(image, group_factors(norm, eps, image), Activation::none));
    }

    Tensor add_tokens(const Linear & layer, Tensor tokens, Tensor image) override {
        Epilogue epilogue;
        epilogue.residual = to_tokens(image);
        return from_tokens(linear(layer, tokens, epilogue), image->ne[1], image->ne[2]);
    }

    Tensor linear(const Linear & layer, Tensor x, const Epilogue & epilogue) override;

    Tensor token_norm(NormKind kind, const Norm & norm, Tensor x, float eps, const Modulation & m, bool last) override {
        return add(token_norm_node(cpu_, x, kind == NormKind::layer,
                                   {norm.weight, norm.bias, m.factor, m.shift, m.residual}, eps, !last));
    }

    Tensor turn_heads(Tensor weight, float eps, const Rotation & rotation, Tensor x) override {
        return add(turn_heads_node(cpu_, x, weight, eps, rotation.angles, rotation.pairs == Rotation::neighbours));
    }

    Tensor attention(Tensor q, Tensor k, Tensor v, int64_t heads, bool causal) override;

    Tensor memory(size_t bytes, Tensor) override {
        return graph().memory(GGML_TYPE_F32, {static_cast<int64_t>(bytes / sizeof(float)), 1, 1, 1});
    }

    void place(StoredImage & stored, Tensor memory, size_t offset) override {
        stored.memory = bytes_at(memory, offset, bytes_of(stored));
    }

    void place(StoredKeys & stored, Tensor memory, size_t offset) override {
        stored.keys = bytes_at(memory, offset, bytes_of(stored));
    }

    size_t bytes_of(const StoredImage & stored) const override { return store_of(stored).bytes(); }
    size_t bytes_of(const StoredKeys & stored) const override {
        return cpu_.kernels.packed_head_bytes(stored.count, stored.size);
    }

    void write(StoredImage & stored, Tensor part, int64_t x, int64_t y) override {
        stored.memory = write_into(stored.memory, store_part_node(cpu_, store_of(stored), part, x, y));
    }

    void write(StoredPlanes & stored, Tensor part, int64_t x, int64_t y, int64_t index) override {
        stored.memory = write_into(stored.memory, store_planes_node(part, x, y, index));
    }

    Tensor read(const StoredImage & stored, const Window & w) override {
        return add(load_part_node(cpu_, store_of(stored), stored.memory, w.x, w.y, w.width, w.height));
    }

    Tensor statistics(Tensor so_far, Tensor part, double before, double share) override {
        return add(statistics_node(so_far, part, add(group_sums_node(cpu_, part)), before, share));
    }

    void write(StoredKeys & stored, Tensor k, Tensor v, int64_t first) override {
        stored.keys = write_into(stored.keys, pack_keys_node(cpu_, as_operand(k), as_operand(v), stored.count, first));
    }

    Tensor attention(Tensor q, const StoredKeys & stored) override {
        return add(packed_attention_node(cpu_, as_operand(q), stored.keys, stored.count));
    }

    int64_t most_queries(int64_t) const override { return INT64_MAX; }

private:
    Tensor add(NewNode node) { return graph().add(std::move(node), cpu_.pool); }
    Tensor write_into(Tensor memory, NewNode node) { return graph().write(memory, std::move(node), cpu_.pool); }
    // Operations read and write it as what it holds.
    Tensor bytes_at(Tensor memory, size_t offset, size_t bytes) {
        return ggml_view_1d(context(), memory, static_cast<int64_t>(bytes / sizeof(float)), offset);
    }
    static ImageStore store_of(const StoredImage & image) {
        return {image.width, image.height, image.channels, image.compact};
    }
    Tensor as_input(Tensor image, Tensor factors, Activation activation);
    Tensor as_operand(Tensor x);
    Tensor group_factors(const Norm & norm, float eps, Tensor image);
    bool is_for_winograd(Tensor kernel, int64_t width, int64_t height, int64_t batch) const;
    Tensor convolve(const Conv2d & layer, Tensor a, int64_t stride, const Epilogue & epilogue);
    Tensor convolve(const Conv2d & layer, Tensor image, Tensor factors, Activation before, const Geometry & geometry,
                    const Epilogue & epilogue);

    CpuContext & cpu_;
};

// The image as an input of a matrix product, after normalization and activation.
Tensor CpuLayers::as_input(Tensor image, Tensor factors, Activation activation) {
    ImageLayout layout;
    layout.width = image->ne[1];
    layout.height = image->ne[2];
    return add(gemm_input_node(cpu_, image, factors, activation, layout));
}

// x as an input of a matrix product, whatever its type.
Tensor CpuLayers::as_operand(Tensor x) {
    if (x->type == cpu_.kernels.operand && x->ne[0] % cpu_.kernels.kr == 0) return x;
    return graph().once(x, [&] {
        Tensor rows = ggml_reshape_3d(context(), x, x->ne[0], x->ne[1], x->ne[2] * x->ne[3]);
        Tensor y = as_input(rows, nullptr, Activation::none);
        return ggml_reshape_4d(context(), y, y->ne[0], x->ne[1], x->ne[2], x->ne[3]);
    });
}

Tensor CpuLayers::group_factors(const Norm & norm, float eps, Tensor image) {
    if (norm.statistics) {
        return add(known_factors_node(norm.statistics, norm.weight, norm.bias, group_count, eps));
    }
    Tensor sums = add(group_sums_node(cpu_, image));
    return add(group_factors_node(cpu_, image, sums, norm.weight, norm.bias, group_count, eps));
}

// Winograd's algorithm pays off if there are many pixels per weight, and if the transformed weights, which are read for
// each group of patches, fit the L3 cache. These take more memory, so it is not used for small images or for weights of
// fewer than 16 bits.
bool CpuLayers::is_for_winograd(Tensor w, int64_t width, int64_t height, int64_t batch) const {
    constexpr int64_t least_pixels = 1024, least_channels = 64, most_bytes = int64_t{16} << 20;
    const int64_t bytes = 16 * w->ne[2] * w->ne[3] * cpu_.kernels.operand_size;
    return w->ne[0] == 3 && w->ne[1] == 3 && width % 2 == 0 && height % 2 == 0 &&
           width * height * batch >= least_pixels && std::min(w->ne[2], w->ne[3]) >= least_channels &&
           bytes <= most_bytes && cpu_.weights.unpacked_bytes(w) >= ggml_nelements(w) * sizeof(ggml_fp16_t);
}

// A convolution of an image that already includes the padding.
Tensor CpuLayers::convolve(const Conv2d & layer, Tensor a, int64_t stride, const Epilogue & epilogue) {
    const Tensor w = layer.weight;
    const int64_t channels = a->ne[0];
    const int64_t width = (a->ne[1] - w->ne[0]) / stride + 1, height = (a->ne[2] - w->ne[1]) / stride + 1;
    if (stride == 1 && is_for_winograd(w, width, height, a->ne[3])) {
        return add(winograd_node(cpu_, cpu_.weights.matrix(w, WeightForm::winograd), a, layer.bias, epilogue));
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
    return add(gemm_node(cpu_, cpu_.weights.matrix(w, WeightForm::convolution), a, layout,
                         {w->ne[3], width, height, a->ne[3]}, layer.bias, epilogue));
}

Tensor CpuLayers::convolve(const Conv2d & layer, Tensor image, Tensor factors, Activation before,
                           const Geometry & geometry, const Epilogue & epilogue) {
    const auto padding = geometry.padding(layer.weight->ne[0]);
    const bool resized = geometry.kind == Geometry::resized;
    ImageLayout layout;
    layout.width = resized ? geometry.width : image->ne[1];
    layout.height = resized ? geometry.height : image->ne[2];
    layout.left = layout.top = padding.before;
    layout.right = layout.bottom = padding.after;
    layout.tileable_x = tileable().x;
    layout.tileable_y = tileable().y;
    if (const auto & margins = geometry.margins) {
        layout.left = margins->left, layout.top = margins->top;
        layout.right = margins->right, layout.bottom = margins->bottom;
        layout.tileable_x = layout.tileable_y = false;
    }
    Tensor a = add(gemm_input_node(cpu_, image, factors, before, layout));
    return convolve(layer, a, geometry.stride(), epilogue);
}

Tensor CpuLayers::attention(Tensor q, Tensor k, Tensor v, int64_t heads, bool causal) {
    // One head of many keys is packed once, not by each thread.
    constexpr int64_t many_keys = 1024;
    if (heads == 1 && q->ne[2] == 1 && !causal && k->ne[1] >= many_keys) {
        StoredKeys stored{k->ne[1], q->ne[0]};
        place(stored, memory(bytes_of(stored), nullptr), 0);
        write(stored, k, v, 0);
        return attention(q, stored);
    }
    return add(attention_node(cpu_, as_operand(q), as_operand(k), as_operand(v), heads, causal));
}

// [in, ...] -> [out, ...]
Tensor CpuLayers::linear(const Linear & layer, Tensor x, const Epilogue & epilogue) {
    Tensor a = as_operand(x);
    const bool gated = epilogue.activation == Activation::gated_gelu;
    PackedMatrix & matrix = cpu_.weights.matrix(layer.weight, gated ? WeightForm::gated_matrix : WeightForm::matrix);
    RowLayout layout;
    layout.row_stride = a->ne[0];
    layout.line_rows = ggml_nrows(a);
    layout.image_lines = 1;
    layout.segments = {{0, a->ne[0]}};
    return add(gemm_node(cpu_, matrix, a, layout, {layer.weight->ne[1] / (gated ? 2 : 1), a->ne[1], a->ne[2], a->ne[3]},
                         layer.bias, epilogue));
}

} // namespace

std::unique_ptr<Layers> make_cpu_layers(Graph & graph, CpuContext & cpu) {
    return std::make_unique<CpuLayers>(graph, cpu);
}

} // namespace diffusion
