// Measures how fast this machine multiplies matrices, with the kernels and threads that evaluate networks.
#pragma once

#include <string>

#include "cancellation.h"
#include "graph/device.h"

namespace diffusion {

struct GemmRate {
    std::string operand; // "f32" or "bf16"
    int runs = 0;        // not counting the first, which packs the weights
    double flop = 0;     // floating-point operations of one run
    double seconds = 0;  // of the fastest run
};

// Multiplies two 3840x3840 matrices repeatedly for about a second and reports the fastest run.
// Throws Error (device, out_of_memory, cancelled).
GemmRate measure_gemm(int threads, Precision precision, const Cancellation & cancellation);

} // namespace diffusion
