// Transposes squares of vectors. Only for files that are compiled for one instruction set each, see simd.h.
#pragma once

#include "cpu/simd.h"

namespace diffusion {
namespace {

// Element j of vector i becomes element i of vector j.
#ifdef __AVX512F__
inline void transpose(Vec (&x)[16]) {
    Vec t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) { // pairs of rows
        t[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) { // four rows: element 4 k + j of each in lane k of vector i + j
        const auto wide = [&](int j) { return _mm512_castps_pd(t[i + j]); };
        x[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(wide(0), wide(2)));
        x[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(wide(0), wide(2)));
        x[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(wide(1), wide(3)));
        x[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(wide(1), wide(3)));
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) { // a transpose of lanes
        const Vec even = _mm512_shuffle_f32x4(x[j], x[4 + j], 0x88), odd = _mm512_shuffle_f32x4(x[j], x[4 + j], 0xDD);
        const Vec even2 = _mm512_shuffle_f32x4(x[8 + j], x[12 + j], 0x88),
                  odd2 = _mm512_shuffle_f32x4(x[8 + j], x[12 + j], 0xDD);
        t[j] = _mm512_shuffle_f32x4(even, even2, 0x88);
        t[4 + j] = _mm512_shuffle_f32x4(odd, odd2, 0x88);
        t[8 + j] = _mm512_shuffle_f32x4(even, even2, 0xDD);
        t[12 + j] = _mm512_shuffle_f32x4(odd, odd2, 0xDD);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) x[i] = t[i];
}
#else
inline void transpose(Vec (&x)[8]) {
    Vec t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) { // pairs of rows
        t[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) { // four rows: element 4 k + j of each in lane k of vector i + j
        x[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        x[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        x[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        x[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        t[j] = _mm256_permute2f128_ps(x[j], x[4 + j], 0x20);
        t[4 + j] = _mm256_permute2f128_ps(x[j], x[4 + j], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) x[i] = t[i];
}
#endif

} // namespace
} // namespace diffusion
