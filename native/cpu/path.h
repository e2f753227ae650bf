// What graphs on the CPU share that are computed by this package's own kernels.
#pragma once

#include "cpu/kernels.h"
#include "cpu/packed_weights.h"

namespace diffusion {

class CpuPath {
public:
    CpuPath(const Kernels & k, int n_threads) : kernels(k), threads(n_threads), weights(k) {}

    const Kernels & kernels;
    const int threads;
    PackedWeights weights;
};

} // namespace diffusion
