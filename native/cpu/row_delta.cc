// See row_delta.h.
#include "cpu/row_delta.h"

namespace diffusion {

// Four rows of b at a time, so that y is read and written less often.
void add_product(float scale, const float * a, int64_t rows, int64_t inner, const float * b, int64_t columns,
                 float * y) {
    for (int64_t row = 0; row < rows; row++, a += inner, y += columns) {
        int64_t m = 0;
        for (; m + 4 <= inner; m += 4) {
            const float f0 = scale * a[m], f1 = scale * a[m + 1], f2 = scale * a[m + 2], f3 = scale * a[m + 3];
            const float *b0 = b + m * columns, *b1 = b0 + columns, *b2 = b1 + columns, *b3 = b2 + columns;
            for (int64_t j = 0; j < columns; j++) y[j] += f0 * b0[j] + f1 * b1[j] + f2 * b2[j] + f3 * b3[j];
        }
        for (; m < inner; m++) {
            const float f = scale * a[m];
            for (int64_t j = 0; j < columns; j++) y[j] += f * b[m * columns + j];
        }
    }
}

} // namespace diffusion
