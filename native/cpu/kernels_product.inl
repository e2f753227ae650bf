// Matrix products and convolutions by panels of columns and tiles of rows. Part of kernels.inl.

namespace diffusion {
namespace {

// sums[rows][vectors] (+)= a b: every row of a against one packed panel.
using Tile = void (*)(const Operand * a, int64_t stride, const Segment * segments, int n, const Operand * b, float * sums,
                      int64_t sum_stride, bool add);

template <int rows, int vectors>
void tile(const Operand * a, int64_t stride, const Segment * segments, int n, const Operand * b, float * sums,
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
        // Every fourth row has a pointer, so that a row's address takes no more than a pointer and a multiple of the stride.
        const Operand * a0 = a + segments[s].offset;
        const Operand * a4 = a0 + 4 * stride;
        const Operand * a8 = a0 + 8 * stride;
        const int64_t stride3 = 3 * stride;
        const Operand * const end = b + segments[s].length * (vectors * vector_width);
        for (; b < end; b += depth * vectors * vector_width) {
            Factor bv[vectors];
#pragma GCC unroll 2
            for (int j = 0; j < vectors; j++) bv[j] = load_factor(b + j * depth * vector_width);
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
            a0 += depth;
            a4 += depth;
            a8 += depth;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++) store(sums + i * sum_stride + j * vector_width, c[i][j]);
    }
}

template <int vectors> Tile tile_of(int64_t rows) {
    static const Tile tiles[] = {
        tile<1, vectors>, tile<2, vectors>, tile<3, vectors>, tile<4, vectors>,  tile<5, vectors>,  tile<6, vectors>,
#ifdef __AVX512F__
        tile<7, vectors>, tile<8, vectors>, tile<9, vectors>, tile<10, vectors>, tile<11, vectors>, tile<12, vectors>,
#endif
    };
    return tiles[rows - 1];
}

// A panel of few columns is one vector wide.
int vectors_of(int64_t columns) {
    return columns <= vector_width ? 1 : 2;
}

size_t panel_size(int64_t columns, int64_t length) {
    return static_cast<size_t>(length) * vectors_of(columns) * vector_width * sizeof(Operand);
}

size_t pack_scratch(int64_t length) {
    return static_cast<size_t>(length) * (sizeof(float) + panel * sizeof(Operand));
}

// Calls f(first, count) for tiles of nearly equal size that together are begin..end.
template <typename F> void for_tiles(int64_t begin, int64_t end, const F & f) {
    const int64_t tiles = (end - begin + tile_rows - 1) / tile_rows;
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

// Of `n` columns from `column` on.
Vec activate(const Product & p, int64_t column, Vec x, int64_t n) {
    switch (p.activation) {
    case Activation::silu: return silu(x);
    case Activation::quick_gelu: return mul(x, sigmoid(mul(x, splat(1.702f))));
    case Activation::gelu: return gelu(x);
    case Activation::relu: return max(zero(), x); // in this order a NaN stays one
    case Activation::leaky_relu: {
        const Vec slope = p.slopes ? load_some(p.slopes + column, n) : splat(0.2f);
        return fma(slope, min(zero(), x), max(zero(), x));
    }
    default: return x;
    }
}

void store_result(const Product & p, int64_t row, int64_t column, int64_t columns, Vec x, int64_t n) {
    if (p.scale != 1) x = mul(x, splat(p.scale));
    if (p.residual) x = add(x, load_some(p.residual + row * columns + column, n));
    if (p.activate_last) x = activate(p, column, x, n);
    const int64_t at = row * columns + column;
    if (p.y_is_operand) {
        store_some(static_cast<Operand *>(p.y) + at, x, n);
    } else {
        store_some(static_cast<float *>(p.y) + at, x, n);
    }
}

// Row `row` of y from its sums.
void finish_row(const Product & p, int64_t row, int64_t column, int vectors, const float * sums) {
    const int64_t image = p.image_bias ? row / (p.line_rows * p.image_lines) : 0;
    const auto biased = [&](int64_t at, const float * s, int64_t n) {
        Vec x = load(s);
        if (p.bias) x = add(x, load_some(p.bias + at, n));
        if (p.image_bias) x = add(x, load_some(p.image_bias + image * p.columns + at, n));
        return x;
    };
    if (p.activation == Activation::gated_gelu) {
        const int64_t half = p.columns / 2, at = column / 2, n = half - at;
        const Vec value = biased(at, sums, n), gate = biased(half + at, sums + vector_width, n);
        return store_result(p, row, at, half, mul(value, gelu(gate)), n);
    }
    for (int j = 0; j < vectors; j++) {
        const int64_t at = column + j * vector_width, n = p.columns - at;
        if (n <= 0) break;
        const Vec x = biased(at, sums + j * vector_width, n);
        store_result(p, row, at, p.columns, p.activate_last ? x : activate(p, at, x, n), n);
    }
}

const Operand * row_of(const Product & p, int64_t row) {
    const int64_t line = row / p.line_rows, image = line / p.image_lines;
    return static_cast<const Operand *>(p.a) + image * p.image_stride + (line - image * p.image_lines) * p.line_stride +
           (row - line * p.line_rows) * p.row_stride;
}

// A stretch of the rows' numbers whose part of a panel stays in the second-level cache.
struct Block {
    Segment segments[16];
    int n = 0;
    int64_t length = 0;
};

constexpr int64_t block_length = (int64_t{256} << 10) / (panel * static_cast<int64_t>(sizeof(Operand)));

// The next block from segment `s`, of which `used` numbers were taken.
Block next_block(const Product & p, int & s, int64_t & used) {
    Block block;
    while (s < p.n_segments && block.n < 16 && block.length < block_length) {
        const int64_t n = least(p.segments[s].length - used, block_length - block.length);
        block.segments[block.n++] = {p.segments[s].offset + used, n};
        block.length += n;
        used += n;
        if (used == p.segments[s].length) {
            s++;
            used = 0;
        }
    }
    return block;
}

template <int vectors>
void product_rows(const Product & p, const Operand * b, int64_t column, int64_t begin, int64_t end) {
    constexpr int64_t stride = vectors * vector_width;
    constexpr int64_t most_rows = 20 * tile_rows;
    alignas(64) float sums[most_rows * stride];
    int64_t length = 0;
    for (int s = 0; s < p.n_segments; s++) length += p.segments[s].length;
    const int64_t rows_at_once = length <= block_length && p.n_segments <= 16 ? tile_rows : most_rows;
    for (int64_t row = begin; row < end;) {
        const int64_t line_end = (row / p.line_rows + 1) * p.line_rows;
        const int64_t stop = least(end, line_end);
        while (row < stop) {
            const int64_t left = stop - row, parts = (left + rows_at_once - 1) / rows_at_once;
            const int64_t some = (left + parts - 1) / parts;
            int s = 0;
            int64_t used = 0, at = 0;
            while (s < p.n_segments) {
                const bool add = at > 0;
                const Block block = next_block(p, s, used);
                for_tiles(row, row + some, [&](int64_t first, int64_t n) {
                    tile_of<vectors>(n)(row_of(p, first), p.row_stride, block.segments, block.n, b + at * stride,
                                        sums + (first - row) * stride, stride, add);
                });
                at += block.length;
            }
            for (int64_t i = 0; i < some; i++) finish_row(p, row + i, column, vectors, sums + i * stride);
            row += some;
        }
    }
}

void product(const Product & p, const void * panel_data, int64_t column, int64_t begin, int64_t end) {
    const auto * b = static_cast<const Operand *>(panel_data);
    if (p.activation != Activation::gated_gelu && vectors_of(p.columns - column) == 1) {
        product_rows<1>(p, b, column, begin, end);
    } else {
        product_rows<2>(p, b, column, begin, end);
    }
}

// A row of a file's numbers in f32, in `values` unless it is so already.
const float * decode(ggml_type type, const uint8_t * source, int64_t n, float * values) {
    if (type == GGML_TYPE_F32) return reinterpret_cast<const float *>(source);
    if (type != GGML_TYPE_F16) {
        ggml_get_type_traits(type)->to_float(source, values, n);
        return values;
    }
    const auto * half = reinterpret_cast<const Half *>(source);
    int64_t i = 0;
    for (; i + vector_width <= n; i += vector_width) store(values + i, from_half(half + i));
    for (; i < n; i++) values[i] = ggml_fp16_to_fp32(half[i]);
    return values;
}

void decode(ggml_type type, const uint8_t * source, int64_t n, float * values, Operand * y) {
    const float * from = decode(type, source, n, values);
    int64_t i = 0;
    for (; i + vector_width <= n; i += vector_width) store(y + i, load(from + i));
    for (; i < n; i++) y[i] = operand(from[i]);
}

// [taps, in] of each column -> [taps, in / depth, columns, depth], so that a product reads its panel from start to end.
void pack(const PanelSource & s, void * panel_data, void * scratch) {
    const int64_t length = s.in * s.taps, padded = (s.in + depth - 1) / depth * depth;
    const int64_t width = (s.second ? 2 : vectors_of(s.columns)) * vector_width;
    auto * values = static_cast<float *>(scratch);
    auto * rows = reinterpret_cast<Operand *>(values + length);
    std::memset(rows, 0, length * width * sizeof(Operand));
    for (int64_t c = 0; c < s.columns; c++) {
        decode(s.type, s.first + c * s.stride, length, values, rows + c * length);
        if (s.second) decode(s.type, s.second + c * s.stride, length, values, rows + (vector_width + c) * length);
    }
    auto * y = static_cast<Operand *>(panel_data);
    static_assert(depth * sizeof(Operand) == sizeof(int32_t));
    if (s.in == padded && (depth == 1 || s.taps == 1)) {
        // What is multiplied in one step lies together already.
        const auto * words = reinterpret_cast<const int32_t *>(rows);
        const int stride = static_cast<int>(length / depth);
        for (int64_t i = 0; i < padded / depth; i++) {
            for (int64_t t = 0; t < s.taps; t++) {
                auto * to = reinterpret_cast<int32_t *>(y) + (t * padded / depth + i) * width;
                for (int64_t c = 0; c < width; c += vector_width) {
                    store_column(to + c, words + i * s.taps + t + c * stride, stride);
                }
            }
        }
        return;
    }
    for (int64_t i = 0; i < padded; i += depth) {
        for (int64_t t = 0; t < s.taps; t++) {
            Operand * to = y + (t * padded + i) * width;
            for (int64_t d = 0; d < depth; d++) {
                const Operand * from = rows + (i + d) * s.taps + t;
                for (int64_t c = 0; c < width; c++) to[c * depth + d] = i + d < s.in ? from[c * length] : Operand{0};
            }
        }
    }
}

} // namespace
} // namespace diffusion
