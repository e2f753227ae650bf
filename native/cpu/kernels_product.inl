// The low-rank products of LoRAs, added to unpacked weights: exactly those of add_product() in row_delta.cc, because the
// same model must give the same image on every processor. Part of kernels.inl.

namespace diffusion {
namespace {

// Columns whose part of a few rows of b and y fits the L1 cache.
constexpr int64_t product_columns = 512;

template <int rows, int inner> inline Vec product_sum(const Vec (&f)[rows][inner], int row, const Vec (&b)[inner]) {
    Vec sum = rounded(mul(f[row][0], b[0]));
#pragma GCC unroll 4
    for (int m = 1; m < inner; m++) sum = add(sum, rounded(mul(f[row][m], b[m])));
    return sum;
}

// Adds the products with `inner` rows of b to columns begin..end of `rows` rows of y.
template <int rows, int inner>
void add_products(float scale, const float * a, int64_t a_stride, const float * b, int64_t columns, int64_t begin,
                  int64_t end, float * y) {
    Vec f[rows][inner];
    for (int i = 0; i < rows; i++) {
        for (int m = 0; m < inner; m++) f[i][m] = splat(scale * a[i * a_stride + m]);
    }
    int64_t j = begin;
    for (; j + vector_width <= end; j += vector_width) {
        Vec bv[inner];
        for (int m = 0; m < inner; m++) bv[m] = load(b + m * columns + j);
        for (int i = 0; i < rows; i++) {
            float * to = y + i * columns + j;
            store(to, add(load(to), product_sum(f, i, bv)));
        }
    }
    if (j == end) return;
    const Mask rest = first(static_cast<int>(end - j));
    Vec bv[inner];
    for (int m = 0; m < inner; m++) bv[m] = load(b + m * columns + j, rest);
    for (int i = 0; i < rows; i++) {
        float * to = y + i * columns + j;
        store(to, add(load(to, rest), product_sum(f, i, bv)), rest);
    }
}

template <int rows>
void add_product_rows(float scale, const float * a, int64_t inner, const float * b, int64_t columns, int64_t begin,
                      int64_t end, float * y) {
    int64_t m = 0;
    for (; m + 4 <= inner; m += 4) add_products<rows, 4>(scale, a + m, inner, b + m * columns, columns, begin, end, y);
    for (; m < inner; m++) add_products<rows, 1>(scale, a + m, inner, b + m * columns, columns, begin, end, y);
}

void add_product(float scale, const float * a, int64_t rows, int64_t inner, const float * b, int64_t columns,
                 float * y) {
    constexpr int some = vector_width == 16 ? 4 : 2; // their factors fit the registers
    for (int64_t begin = 0; begin < columns; begin += product_columns) {
        const int64_t end = least(begin + product_columns, columns);
        int64_t row = 0;
        for (; row + some <= rows; row += some) {
            add_product_rows<some>(scale, a + row * inner, inner, b, columns, begin, end, y + row * columns);
        }
        for (; row < rows; row++) {
            add_product_rows<1>(scale, a + row * inner, inner, b, columns, begin, end, y + row * columns);
        }
    }
}

} // namespace
} // namespace diffusion
