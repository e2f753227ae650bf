// The operations of graphs on the CPU: they distribute the kernels' work to threads, in parts. Each function makes the
// node of one operation. Images are [channels, width, height, batch].
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "cpu/context.h"
#include "cpu/epilogue.h"
#include "cpu/operation.h"

namespace diffusion {

// The number of parts for an operation limited by reading `numbers` numbers; each takes well under a millisecond.
inline int64_t parts_for(int64_t numbers) {
    constexpr int64_t numbers_of_part = 1 << 16;
    return std::max<int64_t>(1, numbers / numbers_of_part);
}

// The indices of an epilogue's tensors among the sources of its node; the first source is the first factor.
class GemmSources {
public:
    GemmSources(Tensor bias, const Epilogue & epilogue) {
        int n = 1;
        if (bias) bias_ = n++;
        if (epilogue.image_bias) image_bias_ = n++;
        if (epilogue.residual) residual_ = n++;
        if (epilogue.slopes) slopes_ = n++;
        if (epilogue.factor) factor_ = n++;
    }
    // `gemm` with the data pointers of node `y` and its sources.
    Gemm with_pointers(Gemm gemm, Tensor y) const;

private:
    int bias_ = 0, image_bias_ = 0, residual_ = 0, slopes_ = 0, factor_ = 0; // 0 for none
};

// The Gemm of a product with `matrix` and `epilogue`, without pointers and layout.
Gemm gemm_with(const CpuContext & cpu, const PackedMatrix & matrix, const Epilogue & epilogue);

// The node of such a product, computed by `operation`.
NewNode gemm_node(const CpuContext & cpu, std::unique_ptr<Operation> operation, const std::array<int64_t, 4> & ne,
                  Tensor a, Tensor bias, const Epilogue & epilogue);

// The layout of the first factor's rows; see Gemm.
struct RowLayout {
    int64_t row_stride = 0, line_stride = 0, image_stride = 0;
    int64_t line_rows = 0, image_lines = 0;
    std::vector<Segment> segments;
};

// A product or convolution of shape `ne`; of the operand type if `epilogue.for_gemm`.
NewNode gemm_node(const CpuContext & cpu, PackedMatrix & matrix, Tensor a, const RowLayout & layout,
                  const std::array<int64_t, 4> & ne, Tensor bias, const Epilogue & epilogue);

// A 3x3 Winograd convolution of an image with even sides, padded with one pixel of zeros; `matrix` has the transformed
// weights. Takes 16 multiplications instead of 36, and more memory for weights.
NewNode winograd_node(const CpuContext & cpu, PackedMatrix & matrix, Tensor a, Tensor bias, const Epilogue & epilogue);

// Group norm: partial sums of an image, and from them each channel's factor and summand, [channels, 2, 1, batch].
NewNode group_sums_node(const CpuContext & cpu, Tensor image);
NewNode group_factors_node(const CpuContext & cpu, Tensor image, Tensor sums, Tensor weight, Tensor bias, int groups,
                           float eps);

// The statistics of an image that is computed in parts: the mean and the variance of each channel, [channels, 2].
// `sums` are those of a part, whose pixels are `share` of all; those of the parts before it, `before`, are `so_far`.
NewNode statistics_node(Tensor so_far, Tensor part, Tensor sums, double before, double share);
// Factors from such statistics.
NewNode known_factors_node(Tensor statistics, Tensor weight, Tensor bias, int groups, float eps);

// Group norm with these factors, plus `residual` if not nullptr, then ReLU if `relu`.
NewNode group_norm_node(Tensor image, Tensor factors, Tensor residual, bool relu);

// The layout of an image as the input of a convolution: resized by nearest neighbour to width and height, then padded,
// or cropped where a margin is negative.
struct ImageLayout {
    int64_t width = 0, height = 0;
    int64_t left = 0, top = 0, right = 0, bottom = 0;
    bool tileable_x = false, tileable_y = false; // circular padding instead of zeros
};

// The image as operands, after group norm with these factors (none if nullptr) and an activation: none, SiLU or ReLU.
NewNode gemm_input_node(const CpuContext & cpu, Tensor image, Tensor factors, Activation activation,
                        const ImageLayout & layout);

// See the layers with these names in graph/layers.h.
NewNode max_pool_node(Tensor image);
NewNode bilinear_node(Tensor image, int64_t width, int64_t height, bool align_corners);
NewNode concat_node(Tensor image, Tensor other);

// Layer norm or RMS norm of tokens: the norm's weight and bias, then factor, shift and residual of a modulation. Any of
// these may be nullptr.
struct NormTensors {
    Tensor weight = nullptr, bias = nullptr, factor = nullptr, shift = nullptr, residual = nullptr;
};
NewNode token_norm_node(const CpuContext & cpu, Tensor x, bool centred, const NormTensors & tensors, float eps,
                        bool for_gemm);
// angles [size, 2, tokens]
NewNode turn_heads_node(const CpuContext & cpu, Tensor x, Tensor weight, float eps, Tensor angles, bool neighbours);
NewNode attention_node(const CpuContext & cpu, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal);

// Attention of one head whose keys and values are packed once, for all threads and for several stretches of queries.
// Written into Kernels::packed_head_bytes, from key `first` on.
NewNode pack_keys_node(const CpuContext & cpu, Tensor k, Tensor v, int64_t keys, int64_t first);
NewNode packed_attention_node(const CpuContext & cpu, Tensor q, Tensor packed, int64_t keys);

// An image that is written and read in parts: as it is, or `compact` in bytes (see Kernels::store_block).
struct ImageStore {
    int64_t width = 0, height = 0, channels = 0;
    bool compact = false;
    size_t bytes() const;
};
// Written into the store, with its first pixel at (x, y). In a compact one both are multiples of block_side, and the
// part ends at another multiple or at an edge of the image.
NewNode store_part_node(const CpuContext & cpu, const ImageStore & store, Tensor part, int64_t x, int64_t y);
// The pixels from (x, y) on; beyond an edge, those of the other side.
NewNode load_part_node(const CpuContext & cpu, const ImageStore & store, Tensor stored, int64_t x, int64_t y,
                       int64_t width, int64_t height);
// An image [channels, width, height] written into planes [width, height, channels, batch], at (x, y) of one image.
NewNode store_planes_node(Tensor image, int64_t x, int64_t y, int64_t index);

} // namespace diffusion
