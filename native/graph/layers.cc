// See layers.h: the parts that all implementations share.
#include "graph/layers.h"

namespace diffusion {

Tensor Layers::pixel_shuffle(Tensor planes, int64_t r) {
    ggml_context * ctx = context();
    const int64_t width = planes->ne[0], height = planes->ne[1], channels = planes->ne[2] / (r * r);
    const int64_t batch = planes->ne[3];
    // In the channel index, columns vary fastest, then rows, then channels of the result.
    Tensor y = ggml_reshape_4d(ctx, planes, width, height, r, r * channels * batch);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 1, 2, 0, 3)); // [r, width, height, r * channels * batch]
    y = ggml_reshape_4d(ctx, y, r * width, height, r, channels * batch);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 0, 2, 1, 3)); // [r * width, r, height, channels * batch]
    return expand(ggml_reshape_4d(ctx, y, r * width, r * height, channels, batch));
}

Tensor Layers::pixel_unshuffle(Tensor planes, int64_t r) {
    ggml_context * ctx = context();
    const int64_t width = planes->ne[0] / r, height = planes->ne[1] / r, channels = planes->ne[2],
                  batch = planes->ne[3];
    Tensor y = ggml_reshape_4d(ctx, planes, r * width, r, height, channels * batch);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 0, 2, 1, 3)); // [r * width, height, r, channels * batch]
    y = ggml_reshape_4d(ctx, y, r, width, height, r * channels * batch);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 2, 0, 1, 3)); // [width, height, r, r * channels * batch]
    return expand(ggml_reshape_4d(ctx, y, width, height, r * r * channels, batch));
}

void Layers::place(StoredPlanes & stored, Tensor memory, size_t offset) {
    const size_t line = stored.width * sizeof(float), plane = stored.height * line;
    stored.memory = ggml_view_4d(context(), memory, stored.width, stored.height, stored.channels, stored.batch, line,
                                 plane, stored.channels * plane, offset);
}

} // namespace diffusion
