// A compute device opened for one model, and what its layers are computed with.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backends.h"
#include "cpu/context.h"
#include "graph/layers.h"

namespace diffusion {

// The numbers that products on the CPU are computed with.
enum class Precision { automatic, f32, bf16 };

// Of this machine. Those of the CPU say which kernels of this package it has.
std::vector<DeviceInfo> devices();

class Device : public Backends {
public:
    // `name` as `devices()` gives it. Throws as Backends does, and Error (device) where the device does not compute in
    // that precision.
    Device(const std::string & name, int threads, Precision precision = Precision::automatic);

    // This package's own kernels; nullptr where ggml's operations are used.
    CpuContext * cpu() { return cpu_.get(); }
    PackedWeights * packed_weights() { return cpu_ ? &cpu_->weights : nullptr; } // the weights of those

    // An empty graph for this device, and its layers. See Graph.
    std::unique_ptr<Graph> make_graph(size_t capacity = Graph::small);
    std::unique_ptr<Layers> make_layers(Graph & graph);

private:
    std::unique_ptr<CpuContext> cpu_;
};

} // namespace diffusion
