// A compute device opened for one model, and the layers' implementation on it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backends.h"
#include "cpu/context.h"
#include "graph/layers.h"
#include "graph/weight_stream.h"

namespace diffusion {

// The type of the operands of matrix products.
enum class Precision { automatic, f32, bf16 };

// The machine's devices. The CPU's features include this package's kernels.
std::vector<DeviceInfo> devices();

class Device : public Backends {
public:
    // `name`: one of devices(). Throws as Backends does, and Error (device) if the device does not support the
    // precision.
    Device(const std::string & name, int threads, Precision precision = Precision::automatic);

    // This package's kernels; nullptr if ggml's operations are used instead.
    CpuContext * cpu() { return cpu_.get(); }
    PackedWeights * packed_weights() { return cpu_ ? &cpu_->weights : nullptr; } // likewise
    // What ggml's operations add to linear layers; nullptr if this package's kernels are used.
    LowRankProducts * low_rank_products() { return cpu_ ? nullptr : &low_rank_products_; }

    // Whether a device other than the CPU multiplies in f32 because it was told to.
    bool is_exact() const { return arithmetic_.exact; }

    // Weights that stay in main memory until they are read; nullptr on the CPU, which reads that memory itself.
    StreamedWeights * streamed_weights() { return streamed_weights_.get(); }

    // An empty graph for this device, and the layers to build it with. See Graph.
    std::unique_ptr<Graph> make_graph(size_t capacity = Graph::small);
    std::unique_ptr<Layers> make_layers(Graph & graph);

private:
    std::unique_ptr<CpuContext> cpu_;
    LowRankProducts low_rank_products_;
    std::unique_ptr<StreamedWeights> streamed_weights_;
    GgmlArithmetic arithmetic_;
};

} // namespace diffusion
