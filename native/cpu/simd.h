// Vectors of the instruction set that a translation unit is compiled for. Only for the files that CMakeLists.txt
// compiles for one instruction set each: everything here has internal linkage, so that the linker cannot use a function
// compiled for another set.
#pragma once

#include <immintrin.h>

#include <bit>
#include <cstdint>
#include <cstring>

namespace diffusion {
namespace {

// Replaces std::min, whose only copy in the program could be compiled for another instruction set.
inline int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

using Half = uint16_t;  // the bits of an f16
using Brain = uint16_t; // the bits of a bf16

#ifdef __AVX512F__

constexpr int vector_width = 16;
constexpr int mr = 12; // 24 sums, 2 vectors of b and 1 of a fit the 32 registers

using Vec = __m512;
using Mask = __mmask16;

inline Vec zero() {
    return _mm512_setzero_ps();
}
inline Vec splat(float x) {
    return _mm512_set1_ps(x);
}
inline Vec load(const float * p) {
    return _mm512_loadu_ps(p);
}
inline void store(float * p, Vec x) {
    _mm512_storeu_ps(p, x);
}
inline Mask first(int n) {
    return static_cast<Mask>((1u << n) - 1);
} // n < 16
inline Vec load(const float * p, Mask m) {
    return _mm512_maskz_loadu_ps(m, p);
}
inline void store(float * p, Vec x, Mask m) {
    _mm512_mask_storeu_ps(p, m, x);
}
inline Vec add(Vec a, Vec b) {
    return _mm512_add_ps(a, b);
}
inline Vec sub(Vec a, Vec b) {
    return _mm512_sub_ps(a, b);
}
inline Vec mul(Vec a, Vec b) {
    return _mm512_mul_ps(a, b);
}
inline Vec div(Vec a, Vec b) {
    return _mm512_div_ps(a, b);
}
inline Vec max(Vec a, Vec b) {
    return _mm512_max_ps(a, b);
}
inline Vec min(Vec a, Vec b) {
    return _mm512_min_ps(a, b);
}
inline Vec fma(Vec a, Vec b, Vec c) {
    return _mm512_fmadd_ps(a, b, c);
} // a b + c
inline float sum(Vec x) {
    return _mm512_reduce_add_ps(x);
}
inline float largest(Vec x) {
    return _mm512_reduce_max_ps(x);
}
inline Vec magnitude(Vec x) {
    return _mm512_abs_ps(x);
}
// x with the sign of s.
inline Vec with_sign(Vec x, Vec s) {
    const __m512i sign = _mm512_and_si512(_mm512_castps_si512(s), _mm512_set1_epi32(INT32_MIN));
    return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(x), sign));
}
inline Vec keep_first(Vec x, int64_t n) {
    return _mm512_maskz_mov_ps(first(static_cast<int>(n)), x);
} // the rest zero
// The numbers (2i, 2i + 1) exchanged.
inline Vec swap_neighbours(Vec x) {
    return _mm512_permute_ps(x, 0xB1);
}
inline Vec round_even(Vec x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec scale_by_power(Vec x, Vec n) {
    return _mm512_scalef_ps(x, n);
}
inline Vec from_half(const Half * p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
}
inline Vec widen(__m256i bits) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
inline Vec from_brain(const Brain * p) {
    return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
}
inline Vec from_bytes(const uint8_t * p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))));
}
inline Vec from_integers(const int8_t * p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))));
}
// Rounded to the nearest; of 0 to 255.
inline void store_bytes(uint8_t * p, Vec x) {
    _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
}

#else

constexpr int vector_width = 8;
constexpr int mr = 6; // 12 sums, 2 vectors of b and 1 of a fit the 16 registers

using Vec = __m256;
using Mask = __m256i;

inline Vec zero() {
    return _mm256_setzero_ps();
}
inline Vec splat(float x) {
    return _mm256_set1_ps(x);
}
inline Vec load(const float * p) {
    return _mm256_loadu_ps(p);
}
inline void store(float * p, Vec x) {
    _mm256_storeu_ps(p, x);
}
inline Mask first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load(const float * p, Mask m) {
    return _mm256_maskload_ps(p, m);
}
inline void store(float * p, Vec x, Mask m) {
    _mm256_maskstore_ps(p, m, x);
}
inline Vec add(Vec a, Vec b) {
    return _mm256_add_ps(a, b);
}
inline Vec sub(Vec a, Vec b) {
    return _mm256_sub_ps(a, b);
}
inline Vec mul(Vec a, Vec b) {
    return _mm256_mul_ps(a, b);
}
inline Vec div(Vec a, Vec b) {
    return _mm256_div_ps(a, b);
}
inline Vec max(Vec a, Vec b) {
    return _mm256_max_ps(a, b);
}
inline Vec min(Vec a, Vec b) {
    return _mm256_min_ps(a, b);
}
inline Vec fma(Vec a, Vec b, Vec c) {
    return _mm256_fmadd_ps(a, b, c);
} // a b + c
inline float sum(Vec x) {
    const __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps(pair, pair, 1)));
}
inline float largest(Vec x) {
    const __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 pair = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(pair, _mm_shuffle_ps(pair, pair, 1)));
}
inline Vec magnitude(Vec x) {
    return _mm256_andnot_ps(splat(-0.0f), x);
}
// x with the sign of s.
inline Vec with_sign(Vec x, Vec s) {
    return _mm256_or_ps(x, _mm256_and_ps(splat(-0.0f), s));
}
inline Vec keep_first(Vec x, int64_t n) { // the rest zero
    return _mm256_and_ps(x, _mm256_castsi256_ps(first(static_cast<int>(n))));
}
// The numbers (2i, 2i + 1) exchanged.
inline Vec swap_neighbours(Vec x) {
    return _mm256_permute_ps(x, 0xB1);
}
inline Vec round_even(Vec x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// In two steps, because 2^n itself may be out of range when the result is not.
inline Vec scale_by_power(Vec x, Vec n) {
    const __m256i integer = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(integer, 1);
    const auto power = [](__m256i e) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(127)), 23));
    };
    return mul(mul(x, power(half)), power(_mm256_sub_epi32(integer, half)));
}
inline Vec from_half(const Half * p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
}
inline Vec from_bytes(const uint8_t * p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));
}
inline Vec from_integers(const int8_t * p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));
}
// Rounded to the nearest; of 0 to 255.
inline void store_bytes(uint8_t * p, Vec x) {
    const __m256i integers = _mm256_cvtps_epi32(x);
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256(integers, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i *>(p), _mm_packus_epi16(words, words));
}

#endif

inline float to_float(Half bits) {
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
}

// The values of 32 indexes of 4 bits: of the lower halves of 16 bytes, then of the upper ones.
inline void look_up_nibbles(const int8_t (&table)[16], const uint8_t * indexes, int8_t * to) {
    const __m128i values = _mm_load_si128(reinterpret_cast<const __m128i *>(table)), low = _mm_set1_epi8(15);
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(indexes));
    const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), low);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to), _mm_shuffle_epi8(values, _mm_and_si128(bytes, low)));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to + 16), _mm_shuffle_epi8(values, high));
}

// Keeps the compiler from contracting a product and a sum into one rounding.
inline Vec rounded(Vec x) {
#ifndef _MSC_VER
    __asm__("" : "+v"(x));
#endif
    return x;
}

// The input type of matrix products (`Operand`), and a step of the micro-kernel over `kr` numbers.
#ifdef __AVX512BF16__

using Operand = Brain;
constexpr int kr = 2; // numbers of a row of a and a column of b that one instruction multiplies and adds

inline __m256i narrow(Vec x) {
    return std::bit_cast<__m256i>(_mm512_cvtneps_pbh(x));
}
inline void store(Operand * p, Vec x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), narrow(x));
}
inline void store(Operand * p, Vec x, Mask m) {
    _mm256_mask_storeu_epi16(p, m, narrow(x));
}
inline Vec load(const Operand * p) {
    return from_brain(p);
}
inline Vec load(const Operand * p, Mask m) {
    return widen(_mm256_maskz_loadu_epi16(m, p));
}
inline Operand operand(float x) {
    return static_cast<Operand>(_mm256_extract_epi16(narrow(splat(x)), 0));
}

// Numbers of two rows, as the micro-kernel reads them: of each column one after the other.
inline void store_step(Operand * p, Vec a, Vec b) {
    const __m512i even = _mm512_cvtepu16_epi32(narrow(a)), odd = _mm512_cvtepu16_epi32(narrow(b));
    _mm512_storeu_si512(p, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
}

using Factor = __m512i;
inline Factor load_factor(const Operand * p) {
    return _mm512_loadu_si512(p);
}
inline Factor splat_factor(const Operand * p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof(pair));
    return _mm512_set1_epi32(pair);
}
inline Vec multiply_add(Factor a, Factor b, Vec c) {
    return _mm512_dpbf16_ps(c, std::bit_cast<__m512bh>(a), std::bit_cast<__m512bh>(b));
}

#else

using Operand = float;
constexpr int kr = 1;

inline Operand operand(float x) {
    return x;
}

inline void store_step(Operand * p, Vec a, Vec) {
    store(p, a);
}

using Factor = Vec;
inline Factor load_factor(const Operand * p) {
    return load(p);
}
inline Factor splat_factor(const Operand * p) {
    return splat(*p);
}
inline Vec multiply_add(Factor a, Factor b, Vec c) {
    return fma(a, b, c);
}

#endif

inline void store_first(float * p, Vec x) {
    store(p, x, first(1));
}

constexpr int nr = 2 * vector_width; // columns of the micro-kernel

// e^x, relative error below 2e-7: x = n ln 2 + r, and a polynomial for e^r (Cody and Waite's reduction, minimax of
// degree 6).
inline Vec exp(Vec x) {
    x = max(splat(-103.0f), min(splat(88.0f), x)); // this order keeps NaN
    const Vec n = round_even(mul(x, splat(1.44269504f)));
    const Vec r = fma(n, splat(2.12194440e-4f), fma(n, splat(-0.693359375f), x));
    Vec p = splat(1.0f / 720.0f);
    p = fma(p, r, splat(1.0f / 120.0f));
    p = fma(p, r, splat(1.0f / 24.0f));
    p = fma(p, r, splat(1.0f / 6.0f));
    p = fma(p, r, splat(0.5f));
    p = fma(p, r, splat(1.0f));
    p = fma(p, r, splat(1.0f));
    return scale_by_power(p, n);
}

inline Vec sigmoid(Vec x) {
    return div(splat(1.0f), add(splat(1.0f), exp(sub(zero(), x))));
}
inline Vec silu(Vec x) {
    return mul(x, sigmoid(x));
}

// x Phi(x), with the error function of Abramowitz and Stegun 7.1.26 (absolute error below 1.5e-7).
inline Vec gelu(Vec x) {
    const Vec z = mul(magnitude(x), splat(0.70710678f));
    const Vec t = div(splat(1.0f), fma(z, splat(0.3275911f), splat(1.0f)));
    Vec p = splat(1.061405429f);
    p = fma(p, t, splat(-1.453152027f));
    p = fma(p, t, splat(1.421413741f));
    p = fma(p, t, splat(-0.284496736f));
    p = fma(p, t, splat(0.254829592f));
    const Vec erf = sub(splat(1.0f), mul(mul(p, t), exp(sub(zero(), mul(z, z)))));
    return mul(mul(splat(0.5f), x), add(splat(1.0f), with_sign(erf, x)));
}

} // namespace
} // namespace diffusion
