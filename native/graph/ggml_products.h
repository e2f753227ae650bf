// Matrix products and convolutions with ggml's operations, in the arithmetic that a device is opened with.
#pragma once

#include "graph/graph.h"

namespace diffusion {

// How a device that computes with ggml's operations multiplies. The default is that of the CPU.
struct GgmlArithmetic {
    // nullptr for the CPU, whose graphs use no operations that only other devices have in a fast form.
    ggml_backend_t device = nullptr;
    // Whether no operand is rounded before it is multiplied. Otherwise devices may round to f16; sums are always f32.
    bool exact = false;
    // Whether the device's own convolutions are faster than products with unfolded images.
    bool convolves = false;
};

class GgmlProducts {
public:
    GgmlProducts(Graph & graph, const GgmlArithmetic & arithmetic) : graph_(graph), arithmetic_(arithmetic) {}

    // As ggml_mul_mat. `wide`: numbers of b may exceed the range of f16.
    Tensor multiply(Tensor a, Tensor b, bool wide = false);

    // The convolution of an image [width, height, channels, batch] with a kernel [kw, kh, channels, out], with zeros
    // around the image.
    Tensor convolve(Tensor kernel, Tensor image, int stride, int padding);

    // Attention without scores in memory; nullptr if the device does not support it, or only with rounded operands.
    Tensor attend(Tensor q, Tensor k, Tensor v, int64_t heads);

    // Whether the device computes this by itself, without the CPU.
    bool computes(Tensor tensor) const { return !arithmetic_.device || is_supported(tensor); }

private:
    bool is_supported(Tensor tensor) const;
    Tensor convolve_directly(Tensor kernel, Tensor image, int stride, int padding);
    Tensor multiply_columns(Tensor kernel, Tensor columns);
    Tensor image_rows(Tensor image, int64_t first, int64_t end) const;

    Graph & graph_;
    GgmlArithmetic arithmetic_;
};

} // namespace diffusion
