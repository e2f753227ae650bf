// 3x3 convolutions with fewer multiplications: Winograd's F(2x2, 3x3) (Lavin and Gray 2016). A 4x4 patch of the image
// gives 2x2 pixels of the result with 16 multiplications instead of 36. Part of kernels.inl.

namespace diffusion {
namespace {

// B^T d B for each channel of a patch.
void winograd_input(const void * image, int64_t channels, int64_t line_stride, void * transformed,
                    int64_t position_stride) {
    const auto * a = static_cast<const Operand *>(image);
    auto * v = static_cast<Operand *>(transformed);
    for (int64_t c = 0; c < channels; c += vector_width) {
        const int64_t n = channels - c;
        Vec d[4][4], t[4][4];
        for (int i = 0; i < 4; i++) {
            for (int j = 0; j < 4; j++) d[i][j] = load_some(a + i * line_stride + j * channels + c, n);
        }
        for (int j = 0; j < 4; j++) {
            t[0][j] = sub(d[0][j], d[2][j]);
            t[1][j] = add(d[1][j], d[2][j]);
            t[2][j] = sub(d[2][j], d[1][j]);
            t[3][j] = sub(d[1][j], d[3][j]);
        }
        for (int i = 0; i < 4; i++) {
            Operand * const row = v + 4 * i * position_stride + c;
            store_some(row, sub(t[i][0], t[i][2]), n);
            store_some(row + position_stride, add(t[i][1], t[i][2]), n);
            store_some(row + 2 * position_stride, sub(t[i][2], t[i][1]), n);
            store_some(row + 3 * position_stride, sub(t[i][1], t[i][3]), n);
        }
    }
}

// G g G^T for each 3x3 kernel, in the panel's order: [16, in / kr, columns, kr].
void winograd_pack(const PanelSource & s, void * panel_data, void * scratch) {
    const int64_t length = s.in * 9, padded = (s.in + kr - 1) / kr * kr;
    const int64_t width = vectors_of(s.columns) * vector_width;
    auto * values = static_cast<float *>(scratch);
    auto * y = static_cast<Operand *>(panel_data);
    std::memset(y, 0, 16 * padded * width * sizeof(Operand));
    for (int64_t c = 0; c < s.columns; c++) {
        s.decode(s.data, (s.first + c) * length, length, values);
        const float * g = values;
        for (int64_t i = 0; i < s.in; i++, g += 9) {
            float t[4][3];
            for (int j = 0; j < 3; j++) {
                t[0][j] = g[j];
                t[1][j] = 0.5f * (g[j] + g[3 + j] + g[6 + j]);
                t[2][j] = 0.5f * (g[j] - g[3 + j] + g[6 + j]);
                t[3][j] = g[6 + j];
            }
            for (int k = 0; k < 4; k++) {
                const float u[4] = {t[k][0], 0.5f * (t[k][0] + t[k][1] + t[k][2]), 0.5f * (t[k][0] - t[k][1] + t[k][2]),
                                    t[k][2]};
                for (int j = 0; j < 4; j++) {
                    const int64_t row = (4 * k + j) * padded + i;
                    y[(row / kr * width + c) * kr + row % kr] = operand(u[j]);
                }
            }
        }
    }
}

// A^T m A of one patch's sums, [16][patches][nr], to a panel's numbers of 2x2 pixels.
template <int vectors> void winograd_output(const float * sums, int64_t position_stride, float * pixels) {
    for (int v = 0; v < vectors; v++) {
        Vec t[2][4];
        for (int j = 0; j < 4; j++) {
            const float * m = sums + j * position_stride + v * vector_width;
            const Vec m0 = load(m), m1 = load(m + 4 * position_stride), m2 = load(m + 8 * position_stride),
                      m3 = load(m + 12 * position_stride);
            t[0][j] = add(add(m0, m1), m2);
            t[1][j] = sub(sub(m1, m2), m3);
        }
        for (int i = 0; i < 2; i++) {
            float * y = pixels + 2 * i * nr + v * vector_width;
            store(y, add(add(t[i][0], t[i][1]), t[i][2]));
            store(y + nr, sub(sub(t[i][1], t[i][2]), t[i][3]));
        }
    }
}

template <int vectors> void winograd_panel(const Gemm & g, const Patches & patches, const Operand * b, int64_t column) {
    const int64_t stride = vectors * vector_width, position = patches.count * stride;
    const Segment full_row{0, patches.channels};
    const auto * v = static_cast<const Operand *>(patches.transformed);
    for (int i = 0; i < 16; i++) {
        for_micro_tiles(0, patches.count, [&](int64_t first, int64_t n) {
            micro_kernel_of<vectors>(n)(v + (i * patches.count + first) * patches.channels, patches.channels, &full_row,
                                        1, b + i * patches.channels * stride,
                                        patches.sums + i * position + first * stride, stride, false);
        });
    }
    const int64_t across = g.line_rows / 2, down = g.image_lines / 2;
    for (int64_t i = 0; i < patches.count; i++) {
        alignas(64) float pixels[4 * nr];
        winograd_output<vectors>(patches.sums + i * stride, position, pixels);
        const int64_t patch = patches.first + i, line = patch / across; // of patches, over all images
        const int64_t image = line / down, y = 2 * (line - image * down), x = 2 * (patch - line * across);
        const int64_t row = (image * g.image_lines + y) * g.line_rows + x;
        apply_epilogue(g, row, column, vectors, pixels);
        apply_epilogue(g, row + 1, column, vectors, pixels + nr);
        apply_epilogue(g, row + g.line_rows, column, vectors, pixels + 2 * nr);
        apply_epilogue(g, row + g.line_rows + 1, column, vectors, pixels + 3 * nr);
    }
}

void winograd_gemm(const Gemm & g, const Patches & patches, const void * panel_data, int64_t column) {
    const auto * b = static_cast<const Operand *>(panel_data);
    if (vectors_of(g.columns - column) == 1) {
        winograd_panel<1>(g, patches, b, column);
    } else {
        winograd_panel<2>(g, patches, b, column);
    }
}

} // namespace
} // namespace diffusion
