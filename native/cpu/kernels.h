// What one instruction set offers to the operations of a graph on the CPU. The functions do a part of an operation on
// the calling thread; operations.h deals the parts out.
//
// Images are channels-last: [channels, width, height, batch] in ggml's order. `Operand` stands for the type that
// products take, bf16 or f32. MR, NR, KC and MC are BLIS's names for the sizes of blocks; kernels_gemm.inl shows the
// loops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/epilogue.h"

namespace diffusion {

// A stretch of numbers that each row of a product has: a tap of a convolution, or the whole row of a matrix.
struct Segment {
    int64_t offset; // from the row's start, in operands
    int64_t length; // a multiple of Kernels::kr
};

// y = scale activation(a b + bias + image_bias) + residual. Rows of y are pixels, or tokens; they lie in lines (all
// rows of a matrix are one line), and these in images.
struct Gemm {
    const void * a = nullptr;
    int64_t row_stride = 0, line_stride = 0, image_stride = 0; // of a, in operands
    int64_t line_rows = 0, image_lines = 0;
    const Segment * segments = nullptr;
    int n_segments = 0;
    int64_t columns = 0;                // of a b
    const float * bias = nullptr;       // [columns], or nullptr
    const float * image_bias = nullptr; // [columns, images], or nullptr
    const float * residual = nullptr;   // [columns, rows], or nullptr
    const float * slopes = nullptr;     // [columns], or nullptr: see Activation
    Activation activation = Activation::none;
    bool activate_last = false; // the sum with the residual
    float scale = 1;
    void * y = nullptr; // [columns, rows]; half the columns where they are gated
    bool y_is_operand = false;
};

// The weights of up to NR columns, as a file has them.
struct PanelSource {
    ggml_type type;
    const uint8_t * first = nullptr;  // of `columns` rows, `stride` bytes apart
    const uint8_t * second = nullptr; // the gates' rows, where columns are gated: each vector of a panel is of one kind
    size_t stride = 0;
    int64_t columns = 0; // in each of both
    int64_t in = 0, taps = 1;
};

// Patches of an image that a convolution by Winograd's algorithm computes together: 4x4 pixels each, two apart.
struct Patches {
    const void * transformed = nullptr; // [channels, count, 16], in operands
    float * sums = nullptr;             // memory for [NR, count, 16]
    int64_t channels = 0, first = 0, count = 0;
};

struct Normalization {
    const float * x = nullptr; // [channels, width, height, batch]
    int64_t channels = 0, width = 0, height = 0;
    const float * sums = nullptr; // of `group_sums`: [channels, 2, parts, batch], or nullptr: x as it is
    int64_t parts = 0;
    const float * weight = nullptr;
    const float * bias = nullptr; // [channels]
    int64_t groups = 0;
    float eps = 0;
    Activation activation = Activation::none; // or silu, or relu
};

struct AttentionHead {
    const void *q = nullptr, *k = nullptr, *v = nullptr; // operands; the head's first number of the image's first token
    int64_t q_stride = 0, k_stride = 0, v_stride = 0;    // between tokens
    int64_t keys = 0, size = 0;
    bool causal = false;
    void * y = nullptr; // operands
    int64_t y_stride = 0;
};

struct Kernels {
    const char * name;
    ggml_type operand; // GGML_TYPE_BF16 or GGML_TYPE_F32
    size_t operand_size;
    int64_t mr; // rows, and
    int64_t nr; // columns of the micro-kernel: what it computes in registers
    int64_t kr; // operands that one of its steps takes of a row and a column; rows come in multiples of this

    size_t (*panel_size)(int64_t columns, int64_t length); // bytes of a packed panel; `columns` at most NR
    size_t (*pack_scratch)(int64_t length);                // bytes
    void (*pack)(const PanelSource & source, void * panel, void * scratch);
    // Rows begin..end and the columns from `column` on that `panel` holds.
    void (*gemm)(const Gemm & g, const void * panel, int64_t column, int64_t begin, int64_t end);

    // A 3x3 convolution with one pixel of zeros around the image, whose sides are even. Of a patch whose first pixel is
    // at `image`: [channels, 16] into `transformed`, rows `position_stride` operands apart.
    void (*winograd_input)(const void * image, int64_t channels, int64_t line_stride, void * transformed,
                           int64_t position_stride);
    // A panel of 16 taps.
    void (*winograd_pack)(const PanelSource & source, void * panel, void * scratch);
    void (*winograd_gemm)(const Gemm & g, const Patches & patches, const void * panel, int64_t column);

    // Sums over the pixels begin..end of an image [channels, pixels] of x - pivot and its square, [channels, 2].
    void (*group_sums)(const float * x, int64_t channels, int64_t begin, int64_t end, float * sums);
    // The factor and the summand of every channel of image `image`, [channels, 2].
    void (*group_factors)(const Normalization & n, int64_t image, float * factors);
    // One line of pixels: those of x's line `line` at `columns[i]`, in operands, `padded` numbers each.
    void (*prepare_line)(const Normalization & n, const float * factors, int64_t image, int64_t line,
                         const int32_t * columns, int64_t n_columns, void * y, int64_t padded);

    void (*layer_norm)(const float * x, int64_t channels, const float * weight, const float * bias, float eps, void * y,
                       bool y_is_operand);

    size_t (*attention_scratch)(int64_t keys, int64_t size); // bytes
    // Brings keys and values of a head into the scratch memory, then `attention` computes queries begin..end with it.
    void (*pack_head)(const AttentionHead & head, void * scratch);
    void (*attention)(const AttentionHead & head, void * scratch, int64_t begin, int64_t end);
};

// Those that run on this machine, the fastest first.
std::vector<const Kernels *> available_kernels();

// The fastest with operands of that type; nullptr where there are none.
const Kernels * find_kernels(ggml_type operand);

} // namespace diffusion
