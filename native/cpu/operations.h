// The operations that graphs on the CPU consist of: the kernels' work in parts, dealt out to threads. Each function adds one to
// a graph that has a CpuPath. Images are [channels, width, height, batch].
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "cpu/path.h"
#include "graph/blocks.h"

namespace diffusion {

// Parts of an operation that reads so many numbers and does little else; each takes well under a millisecond.
inline int64_t parts_for(int64_t numbers) {
    constexpr int64_t numbers_of_part = 1 << 16;
    return std::max<int64_t>(1, numbers / numbers_of_part);
}

// What a product adds, as sources of its node; the first factor is the first of them.
class ProductSources {
public:
    ProductSources(Tensor bias, const Finish & finish) {
        int n = 1;
        if (bias) bias_ = n++;
        if (finish.image_bias) image_bias_ = n++;
        if (finish.residual) residual_ = n++;
        if (finish.slopes) slopes_ = n++;
    }
    // `product` with the pointers of node `y`.
    Product filled_in(Product product, Tensor y) const;

private:
    int bias_ = 0, image_bias_ = 0, residual_ = 0, slopes_ = 0; // 0 where there is none
};

// What `finish` says of a product with that matrix.
Product finished_product(const CpuPath & cpu, const PackedMatrix & matrix, const Finish & finish);

// Where the rows of a product lie in its first factor; see Product.
struct RowLayout {
    int64_t row_stride = 0, line_stride = 0, image_stride = 0;
    int64_t line_rows = 0, image_lines = 0;
    std::vector<Segment> segments;
};

// y of shape `ne`, in operands where `finish` says that only products read it.
Tensor add_product(Graph & graph, PackedMatrix & matrix, Tensor a, const RowLayout & layout,
                   const std::array<int64_t, 4> & ne, Tensor bias, const Finish & finish);

// A 3x3 convolution by Winograd's way of an image of even sides, which has one pixel of zeros around it; `matrix` holds the
// transformed weights. Takes 16 multiplications where the sum of products takes 36, and more memory for weights.
Tensor add_winograd(Graph & graph, PackedMatrix & matrix, Tensor a, Tensor bias, const Finish & finish);

// What a group norm multiplies every channel by and adds to it: [channels, 2, 1, batch].
Tensor add_group_factors(Graph & graph, const Norm & norm, float eps, Tensor image);

// How an image is laid out for a product: resized by nearest neighbour to width and height, with zeros around it.
struct Placement {
    int64_t width = 0, height = 0;
    int64_t before = 0, after = 0; // pixels left and at the top, right and at the bottom: zeros, or
    Wrap wrap;                     // those of the other side
};

// The image in operands, after the group norm with these factors (or as it is, without) and an activation: none, SiLU or ReLU.
Tensor add_prepared(Graph & graph, Tensor image, Tensor factors, Activation activation, const Placement & placement);

// See the layers of these names in blocks.h.
Tensor add_group_norm(Graph & graph, Tensor image, Tensor factors, Tensor residual, bool relu);
Tensor add_max_pool(Graph & graph, Tensor image);
Tensor add_bilinear(Graph & graph, Tensor image, int64_t width, int64_t height, bool align_corners);

Tensor add_concat(Graph & graph, Tensor image, Tensor other);
Tensor add_layer_norm(Graph & graph, const Norm & norm, Tensor x, bool for_products, float eps);
Tensor add_attention(Graph & graph, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal);

} // namespace diffusion
