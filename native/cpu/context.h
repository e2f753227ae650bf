// The kernels, threads and packed weights that a device's graphs share on the CPU.
#pragma once

#include "cpu/kernels.h"
#include "cpu/packed_weights.h"
#include "cpu/thread_pool.h"

namespace diffusion {

class CpuContext {
public:
    // Throws as start_thread() does if the system does not grant that many threads.
    CpuContext(const Kernels & k, int n_threads) : kernels(k), threads(n_threads), weights(k), pool(n_threads) {}

    const Kernels & kernels;
    const int threads;
    PackedWeights weights;
    ThreadPool pool;
};

} // namespace diffusion
