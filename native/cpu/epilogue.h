// Elementwise operations after a matrix product or a convolution, computed together with it.
#pragma once

#include "cpu/operation.h"

namespace diffusion {

enum class Activation {
    none,
    silu,
    quick_gelu, // x sigmoid(1.702 x), in CLIP
    gelu,
    relu,
    leaky_relu, // 0.2 x for negative x, or Epilogue::slopes times x
    gated_gelu, // GEGLU (Shazeer 2020): the columns are values, then as many gates: value gelu(gate)
};

// Applied in the order of the members.
struct Epilogue {
    Tensor image_bias = nullptr; // [out, batch]: added to every pixel of an image
    Activation activation = Activation::none;
    Tensor slopes = nullptr; // [out]: of a leaky ReLU on an image (PReLU, He et al. 2015)
    Tensor factor =
        nullptr; // of the result's shape, multiplies what is activated: of SwiGLU (Shazeer 2020), the values
    bool activate_last = false; // activate after adding the residual, not before
    float scale = 1;
    Tensor residual = nullptr; // of the result's shape
    bool for_gemm = false;     // only matrix products read the result, so it may have their operand type
};

} // namespace diffusion
