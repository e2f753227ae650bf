// What follows a matrix product or a convolution and is computed with it.
#pragma once

#include "cpu/operation.h"

namespace diffusion {

enum class Activation {
    none,
    silu,
    quick_gelu, // x sigmoid(1.702 x), of CLIP
    gelu,
    relu,
    leaky_relu, // 0.2 x left of zero, or as Epilogue::slopes says
    gated_gelu, // the columns are pairs of a value and a gate: value gelu(gate) (Shazeer 2020)
};

// In this order.
struct Epilogue {
    Tensor image_bias = nullptr; // [out, batch]: added to every pixel of an image
    Activation activation = Activation::none;
    Tensor slopes = nullptr;    // [out]: left of zero, of a leaky ReLU of an image (PReLU, He et al. 2015)
    bool activate_last = false; // after the residual, not before
    float scale = 1;
    Tensor residual = nullptr; // of the result's shape
    bool for_gemm = false;     // only products read the result, so it may come in the type that they take
};

} // namespace diffusion
