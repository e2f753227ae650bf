// The operations that graphs on the CPU consist of: the kernels' work in parts, dealt out to threads. Each function
// makes the node of one. Images are [channels, width, height, batch].
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "cpu/context.h"
#include "cpu/epilogue.h"
#include "cpu/operation.h"

namespace diffusion {

// Parts of an operation that reads so many numbers and does little else; each takes well under a millisecond.
inline int64_t parts_for(int64_t numbers) {
    constexpr int64_t numbers_of_part = 1 << 16;
    return std::max<int64_t>(1, numbers / numbers_of_part);
}

// What an epilogue reads, as sources of its node; the first factor is the first of them.
class GemmSources {
public:
    GemmSources(Tensor bias, const Epilogue & epilogue) {
        int n = 1;
        if (bias) bias_ = n++;
        if (epilogue.image_bias) image_bias_ = n++;
        if (epilogue.residual) residual_ = n++;
        if (epilogue.slopes) slopes_ = n++;
    }
    // `gemm` with the pointers of node `y`.
    Gemm filled_in(Gemm gemm, Tensor y) const;

private:
    int bias_ = 0, image_bias_ = 0, residual_ = 0, slopes_ = 0; // 0 where there is none
};

// What `epilogue` says of a product with that matrix.
Gemm gemm_with(const CpuContext & cpu, const PackedMatrix & matrix, const Epilogue & epilogue);

// Its node, computed by `operation`.
NewNode gemm_node(const CpuContext & cpu, std::unique_ptr<Operation> operation, const std::array<int64_t, 4> & ne,
                  Tensor a, Tensor bias, const Epilogue & epilogue);

// Where the rows of a product lie in its first factor; see Gemm.
struct RowLayout {
    int64_t row_stride = 0, line_stride = 0, image_stride = 0;
    int64_t line_rows = 0, image_lines = 0;
    std::vector<Segment> segments;
};

// y of shape `ne`, in operands where `epilogue` says that only products read it.
NewNode gemm_node(const CpuContext & cpu, PackedMatrix & matrix, Tensor a, const RowLayout & layout,
                  const std::array<int64_t, 4> & ne, Tensor bias, const Epilogue & epilogue);

// A 3x3 convolution by Winograd's algorithm of an image of even sides, which has one pixel of zeros around it; `matrix`
// holds the transformed weights. Takes 16 multiplications where the sum of products takes 36, and more memory for
// weights.
NewNode winograd_node(const CpuContext & cpu, PackedMatrix & matrix, Tensor a, Tensor bias, const Epilogue & epilogue);

// Sums over stretches of an image, and what a group norm multiplies every channel by and adds to it: [channels, 2, 1,
// batch].
NewNode group_sums_node(const CpuContext & cpu, Tensor image);
NewNode group_factors_node(const CpuContext & cpu, Tensor image, Tensor sums, Tensor weight, Tensor bias, int groups,
                           float eps);

// The group norm with these factors, plus `residual`, and ReLU, where these are asked for.
NewNode group_norm_node(Tensor image, Tensor factors, Tensor residual, bool relu);

// How an image is laid out for a product: resized by nearest neighbour to width and height, with pixels around it.
struct ImageLayout {
    int64_t width = 0, height = 0;
    int64_t before = 0, after = 0;               // pixels left and at the top, right and at the bottom: zeros, or
    bool tileable_x = false, tileable_y = false; // those of the other side
};

// The image in operands, after the group norm with these factors (or as it is, without) and an activation: none, SiLU
// or ReLU.
NewNode gemm_input_node(const CpuContext & cpu, Tensor image, Tensor factors, Activation activation,
                        const ImageLayout & layout);

// See the layers of these names in graph/layers.h.
NewNode max_pool_node(Tensor image);
NewNode bilinear_node(Tensor image, int64_t width, int64_t height, bool align_corners);
NewNode concat_node(Tensor image, Tensor other);

NewNode layer_norm_node(const CpuContext & cpu, Tensor x, Tensor weight, Tensor bias, float eps, bool for_gemm);
NewNode attention_node(const CpuContext & cpu, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal);

} // namespace diffusion
