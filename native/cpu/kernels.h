// The kernels for one instruction set. Each function computes a part of an operation on the calling thread;
// operations.h distributes the parts.
//
// Images are channels-last: [channels, width, height, batch] in ggml's order. `Operand` is the input type of matrix
// products, bf16 or f32. MR, NR, KC and MC are BLIS's names for block sizes; kernels_gemm.inl shows the loops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/epilogue.h"
#include "cpu/row_delta.h"

namespace diffusion {

// Contiguous numbers of each row of a: those of one tap of a convolution, or the full row of a matrix.
struct Segment {
    int64_t offset; // from the row's start, in operands
    int64_t length; // a multiple of Kernels::kr
};

// y = scale factor activation(a b + bias + image_bias) + residual. Rows of y are pixels or tokens. Rows form lines (all rows
// of a matrix are one line), and lines form images.
struct Gemm {
    const void * a = nullptr;
    int64_t row_stride = 0, line_stride = 0, image_stride = 0; // of a, in operands
    int64_t line_rows = 0, image_lines = 0;
    const Segment * segments = nullptr;
    int n_segments = 0;
    int64_t columns = 0;                // of b
    const float * bias = nullptr;       // [columns], or nullptr
    const float * image_bias = nullptr; // [columns, images], or nullptr
    const float * residual = nullptr;   // [columns, rows], or nullptr
    const float * slopes = nullptr;     // [columns], or nullptr: see Activation
    const float * factor = nullptr;     // [columns, rows], or nullptr
    Activation activation = Activation::none;
    bool activate_last = false; // see Epilogue
    float scale = 1;
    void * y = nullptr; // [columns, rows]; with a gated activation half the columns
    bool y_is_operand = false;
};

// Converts `count` numbers of an array to f32, starting at index `first`. `data`: the array's first number or block, at
// any address.
using Decode = void (*)(const uint8_t * data, int64_t first, int64_t count, float * values);

// The unpacked weights of up to NR columns: rows of an array, [in, rows] or [taps, in, rows].
struct PanelSource {
    Decode decode = nullptr;
    const uint8_t * data = nullptr;
    int64_t first = 0;   // of `columns` rows
    int64_t second = -1; // the gates' rows, if gated: one vector of a panel has values, the other gates
    int64_t columns = 0; // of `first`, and of `second`
    int64_t in = 0, taps = 1;
};

// Patches of an image that a Winograd convolution computes together: 4x4 pixels each, two pixels apart.
struct Patches {
    const void * transformed = nullptr; // [channels, count, 16], in operands
    float * sums = nullptr;             // scratch memory, [NR, count, 16]
    int64_t channels = 0, first = 0, count = 0;
};

struct Normalization {
    const float * x = nullptr; // [channels, width, height, batch]
    int64_t channels = 0, width = 0, height = 0;
    const float * sums = nullptr; // from `group_sums`: [channels, 2, parts, batch], or nullptr: no normalization
    int64_t parts = 0;
    const float * weight = nullptr;
    const float * bias = nullptr; // [channels]
    int64_t groups = 0;
    float eps = 0;
    Activation activation = Activation::none; // none, silu or relu
};

// y = (x - mean) / deviation * weight * factor + bias + shift + residual, of one token. All but x may be nullptr.
struct TokenNorm {
    const float * x = nullptr; // [channels]
    int64_t channels = 0;
    bool centred = true; // layer norm; false: RMS norm, whose mean is 0
    float eps = 0;
    const float *weight = nullptr, *bias = nullptr;  // [channels]
    const float *factor = nullptr, *shift = nullptr; // [channels]
    const float * residual = nullptr;                // [channels]
};

// RMS norm of each head of a token, then rotary position embeddings: y[c] = x[c] cos[c] + x[partner of c] sin[c].
struct HeadTurn {
    const float * x = nullptr; // [size, heads]
    int64_t heads = 0, size = 0;
    const float * weight = nullptr; // [size]; nullptr: no norm
    float eps = 0;
    const float *cosines = nullptr, *sines = nullptr; // [size]; sines with the sign of their term
    bool neighbours = false;                          // pairs are (2i, 2i + 1), otherwise (i, i + size / 2)
};

struct AttentionHead {
    const void *q = nullptr, *k = nullptr, *v = nullptr; // operands; the head's first channel of the first token
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
    int64_t mr; // rows of the micro-kernel's result
    int64_t nr; // columns of the micro-kernel's result
    int64_t kr; // operands of each row and column per step of the micro-kernel; row lengths are multiples of this

    size_t (*panel_size)(int64_t columns, int64_t length); // bytes of a packed panel; `columns` at most NR
    // Of numbers of this type; nullptr for types that kernels do not decode.
    Decode (*decoder)(ggml_type type);
    size_t (*pack_scratch)(int64_t in, int64_t taps); // bytes
    void (*pack)(const PanelSource & source, void * panel, void * scratch);
    // Rows begin..end, and the panel's columns, which start at `column`.
    void (*gemm)(const Gemm & g, const void * panel, int64_t column, int64_t begin, int64_t end);

    AddProduct add_product; // see row_delta.h

    // For 3x3 convolutions of images with even sides, padded with one pixel of zeros. Transforms the patch whose first
    // pixel is at `image`: [channels, 16] to `transformed`, with rows `position_stride` operands apart.
    void (*winograd_input)(const void * image, int64_t channels, int64_t line_stride, void * transformed,
                           int64_t position_stride);
    // Packs a panel with 16 transformed taps.
    void (*winograd_pack)(const PanelSource & source, void * panel, void * scratch);
    void (*winograd_gemm)(const Gemm & g, const Patches & patches, const void * panel, int64_t column);

    // Sums of x - pivot and of its square over the pixels begin..end of an image [channels, pixels] -> [channels, 2].
    void (*group_sums)(const float * x, int64_t channels, int64_t begin, int64_t end, float * sums);
    // The factor and the summand of every channel of one image, [channels, 2].
    void (*group_factors)(const Normalization & n, int64_t image, float * factors);
    // One line of a gemm's input: the pixels of x's line `line` at `columns[i]`, as `padded` operands each.
    void (*prepare_line)(const Normalization & n, const float * factors, int64_t image, int64_t line,
                         const int32_t * columns, int64_t n_columns, void * y, int64_t padded);

    void (*token_norm)(const TokenNorm & n, void * y, bool y_is_operand);
    void (*turn_heads)(const HeadTurn & t, void * y); // operands

    size_t (*packed_head_bytes)(int64_t keys, int64_t size);
    size_t (*attention_scratch)(int64_t size); // bytes
    // Packs the keys and values begin..end of a head; head.k and head.v point to those of `begin`. Once all are packed,
    // `attention` computes queries begin..end with them.
    void (*pack_keys)(const AttentionHead & head, int64_t begin, int64_t end, void * packed);
    void (*attention)(const AttentionHead & head, const void * packed, void * scratch, int64_t begin, int64_t end);

    // A block of an image in bytes, of `width` x `height` pixels of x: [channels] lowest numbers, [channels] steps,
    // and [channels, 8, 8] bytes. The channels are a multiple of 32.
    void (*store_block)(const float * x, int64_t channels, int64_t line_stride, int64_t width, int64_t height,
                        void * block);
    // `count` pixels of one line of a block, from (x, y) on.
    void (*load_block)(const void * block, int64_t channels, int64_t x, int64_t y, int64_t count, float * to);
};

// Pixels along the side of a block.
inline constexpr int64_t block_side = 8;
inline int64_t block_bytes(int64_t channels) {
    return channels * static_cast<int64_t>(2 * sizeof(float) + block_side * block_side);
}

// The kernels that run on this machine, fastest first.
std::vector<const Kernels *> available_kernels();

// The fastest kernels with this operand type; nullptr if there are none.
const Kernels * find_kernels(ggml_type operand);

} // namespace diffusion
