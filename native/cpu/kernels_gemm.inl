// Matrix products and convolutions, blocked as BLIS does (Van Zee and van de Geijn 2015). Part of kernels.inl.
//
//   part: MC rows of a (gemm_operation.cc), NR columns of b, packed into a panel
//     up to 20 MR rows, whose sums fit the L1 cache
//       KC numbers of each row, whose part of the panel fits the L2 cache
//         MR rows: the micro-kernel, with MR x NR sums in registers
//     epilogue of these rows
//
// A convolution has one segment of each row per tap. a is not packed: its rows are pixels, which are contiguous.

namespace diffusion {
namespace {

// sums[rows][vectors] (+)= a b, for rows of a and one packed panel.
using MicroKernel = void (*)(const Operand * a, int64_t stride, const Segment * segments, int n, const Operand * b,
                             float * sums, int64_t sum_stride, bool add);

template <int rows, int vectors>
void micro_kernel(const Operand * a, int64_t stride, const Segment * segments, int n, const Operand * b, float * sums,
                  int64_t sum_stride, bool add) {
    Vec c[rows][vectors];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) {
            c[i][j] = add ? load(sums + i * sum_stride + j * vector_width) : zero();
        }
    }
    for (int s = 0; s < n; s++) {
        // A pointer to every fourth row, so that each row's address is a pointer plus at most three times the stride.
        const Operand * a0 = a + segments[s].offset;
        const Operand * a4 = a0 + 4 * stride;
        const Operand * a8 = a0 + 8 * stride;
        const int64_t stride3 = 3 * stride;
        const Operand * const end = b + segments[s].length * (vectors * vector_width);
        for (; b < end; b += kr * vectors * vector_width) {
            Factor bv[vectors];
#pragma GCC unroll 2
            for (int j = 0; j < vectors; j++) bv[j] = load_factor(b + j * kr * vector_width);
#pragma GCC unroll 12
            for (int i = 0; i < rows; i++) {
                const Operand * base = i < 4 ? a0 : i < 8 ? a4 : a8;
                const Operand * row = i % 4 == 0   ? base
                                      : i % 4 == 1 ? base + stride
                                      : i % 4 == 2 ? base + 2 * stride
                                                   : base + stride3;
                const Factor av = splat_factor(row);
#pragma GCC unroll 2
                for (int j = 0; j < vectors; j++) c[i][j] = multiply_add(av, bv[j], c[i][j]);
            }
            a0 += kr;
            a4 += kr;
            a8 += kr;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) store(sums + i * sum_stride + j * vector_width, c[i][j]);
    }
}

template <int vectors> MicroKernel micro_kernel_of(int64_t rows) {
    static const MicroKernel all[] = {
        micro_kernel<1, vectors>,  micro_kernel<2, vectors>,  micro_kernel<3, vectors>,
        micro_kernel<4, vectors>,  micro_kernel<5, vectors>,  micro_kernel<6, vectors>,
#ifdef __AVX512F__
        micro_kernel<7, vectors>,  micro_kernel<8, vectors>,  micro_kernel<9, vectors>,
        micro_kernel<10, vectors>, micro_kernel<11, vectors>, micro_kernel<12, vectors>,
#endif
    };
    return all[rows - 1];
}

// The width of a panel in vectors: one if it has few columns.
int vectors_of(int64_t columns) {
    return columns <= vector_width ? 1 : 2;
}

size_t panel_size(int64_t columns, int64_t length) {
    return static_cast<size_t>(length) * vectors_of(columns) * vector_width * sizeof(Operand);
}

// Calls f(first, count) for tiles of at most MR rows that cover begin..end, of nearly equal size.
template <typename F> void for_micro_tiles(int64_t begin, int64_t end, const F & f) {
    const int64_t tiles = (end - begin + mr - 1) / mr;
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t first = begin + (end - begin) * t / tiles;
        f(first, begin + (end - begin) * (t + 1) / tiles - first);
    }
}

template <typename T> Vec load_some(const T * p, int64_t n) {
    return n >= vector_width ? load(p) : load(p, first(static_cast<int>(n)));
}

template <typename T> void store_some(T * p, Vec x, int64_t n) {
    if (n >= vector_width) return store(p, x);
    store(p, x, first(static_cast<int>(n)));
}

// Activates `n` columns starting at `column`.
Vec activate(const Gemm & g, int64_t column, Vec x, int64_t n) {
    switch (g.activation) {
        case Activation::silu: return silu(x);
        case Activation::quick_gelu: return mul(x, sigmoid(mul(x, splat(1.702f))));
        case Activation::gelu: return gelu(x);
        case Activation::relu: return max(zero(), x); // this order keeps NaN
        case Activation::leaky_relu: {
            const Vec slope = g.slopes ? load_some(g.slopes + column, n) : splat(0.2f);
            return fma(slope, min(zero(), x), max(zero(), x));
        }
        default: return x;
    }
}

void store_result(const Gemm & g, int64_t row, int64_t column, int64_t columns, Vec x, int64_t n) {
    if (g.scale != 1) x = mul(x, splat(g.scale));
    if (g.residual) x = add(x, load_some(g.residual + row * columns + column, n));
    if (g.activate_last) x = activate(g, column, x, n);
    const int64_t at = row * columns + column;
    if (g.y_is_operand) {
        store_some(static_cast<Operand *>(g.y) + at, x, n);
    } else {
        store_some(static_cast<float *>(g.y) + at, x, n);
    }
}

// Computes row `row` of y from its sums.
void apply_epilogue(const Gemm & g, int64_t row, int64_t column, int vectors, const float * sums) {
    const int64_t image = g.image_bias ? row / (g.line_rows * g.image_lines) : 0;
    const auto biased = [&](int64_t at, const float * s, int64_t n) {
        Vec x = load(s);
        if (g.bias) x = add(x, load_some(g.bias + at, n));
        if (g.image_bias) x = add(x, load_some(g.image_bias + image * g.columns + at, n));
        return x;
    };
    if (g.activation == Activation::gated_gelu) {
        const int64_t half = g.columns / 2, at = column / 2, n = half - at;
        const Vec value = biased(at, sums, n), gate = biased(half + at, sums + vector_width, n);
        return store_result(g, row, at, half, mul(value, gelu(gate)), n);
    }
    for (int j = 0; j < vectors; j++) {
        const int64_t at = column + j * vector_width, n = g.columns - at;
        if (n <= 0) break;
        Vec x = biased(at, sums + j * vector_width, n);
        if (!g.activate_last) x = activate(g, at, x, n);
        if (g.factor) x = mul(x, load_some(g.factor + row * g.columns + at, n));
        store_result(g, row, at, g.columns, x, n);
    }
}

const Operand * row_of(const Gemm & g, int64_t row) {
    const int64_t line = row / g.line_rows, image = line / g.image_lines;
    return static_cast<const Operand *>(g.a) + image * g.image_stride + (line - image * g.image_lines) * g.line_stride +
           (row - line * g.line_rows) * g.row_stride;
}

// A range of at most KC numbers of each row.
struct Block {
    Segment segments[16];
    int n = 0;
    int64_t length = 0;
};

constexpr int64_t kc = (int64_t{256} << 10) / (nr * static_cast<int64_t>(sizeof(Operand)));

// The next block, starting in segment `s` after its first `used` numbers; advances both.
Block next_block(const Gemm & g, int & s, int64_t & used) {
    Block block;
    while (s < g.n_segments && block.n < 16 && block.length < kc) {
        const int64_t n = least(g.segments[s].length - used, kc - block.length);
        block.segments[block.n++] = {g.segments[s].offset + used, n};
        block.length += n;
        used += n;
        if (used == g.segments[s].length) {
            s++;
            used = 0;
        }
    }
    return block;
}

template <int vectors> void gemm_rows(const Gemm & g, const Operand * b, int64_t column, int64_t begin, int64_t end) {
    constexpr int64_t stride = vectors * vector_width;
    constexpr int64_t most_rows = 20 * mr;
    alignas(64) float sums[most_rows * stride];
    int64_t length = 0;
    for (int s = 0; s < g.n_segments; s++) length += g.segments[s].length;
    const int64_t rows_at_once = length <= kc && g.n_segments <= 16 ? mr : most_rows;
    for (int64_t row = begin; row < end;) {
        const int64_t line_end = (row / g.line_rows + 1) * g.line_rows;
        const int64_t stop = least(end, line_end);
        while (row < stop) {
            const int64_t left = stop - row, parts = (left + rows_at_once - 1) / rows_at_once;
            const int64_t some = (left + parts - 1) / parts;
            int s = 0;
            int64_t used = 0, at = 0;
            while (s < g.n_segments) {
                const bool add = at > 0;
                const Block block = next_block(g, s, used);
                for_micro_tiles(row, row + some, [&](int64_t first, int64_t n) {
                    micro_kernel_of<vectors>(n)(row_of(g, first), g.row_stride, block.segments, block.n,
                                                b + at * stride, sums + (first - row) * stride, stride, add);
                });
                at += block.length;
            }
            for (int64_t i = 0; i < some; i++) apply_epilogue(g, row + i, column, vectors, sums + i * stride);
            row += some;
        }
    }
}

void gemm(const Gemm & g, const void * panel_data, int64_t column, int64_t begin, int64_t end) {
    const auto * b = static_cast<const Operand *>(panel_data);
    if (g.activation != Activation::gated_gelu && vectors_of(g.columns - column) == 1) {
        gemm_rows<1>(g, b, column, begin, end);
    } else {
        gemm_rows<2>(g, b, column, begin, end);
    }
}

} // namespace
} // namespace diffusion
