// How fast this machine multiplies: the rate of one large product, by the kernels and threads that networks are evaluated
// with.
#pragma once

#include <string>

#include "cancellation.h"
#include "graph/device.h"

namespace diffusion {

struct GemmRate {
    std::string operand; // "f32" or "bf16"
    int runs = 0;        // after the first, which packs the weights
    double flop = 0;     // of one run
    double seconds = 0;  // of the fastest run
};

// Multiplies two matrices of 3840x3840 again and again for about a second, and takes the fastest run.
// Throws Error (device, out_of_memory, cancelled).
GemmRate measure_gemm(int threads, Precision precision, const Cancellation & cancellation);

} // namespace diffusion
