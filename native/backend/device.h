// A compute device opened for one model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ggml-backend.h"

#include "cancellation.h"
#include "cpu/path.h"

namespace diffusion {

// The numbers that products on the CPU are computed with.
enum class Precision { automatic, f32, bf16 };

class Device {
public:
    // `name` as `devices()` gives it. Throws Error (device) that lists the known names, or where the
    // system does not grant that many threads, or where the device does not compute in that precision.
    Device(const std::string & name, int threads, Precision precision = Precision::automatic);
    Device(const Device &) = delete;
    Device & operator=(const Device &) = delete;

    // The device itself.
    ggml_backend_t backend() const { return backends_.front(); }
    // The device, and the CPU behind it for operations that it lacks.
    const std::vector<ggml_backend_t> & backends() const { return backends_; }
    bool is_cpu() const { return backends_.size() == 1; }
    // This package's own kernels; nullptr where ggml's operations are used.
    CpuPath * cpu() { return cpu_.get(); }
    PackedWeights * packed_weights() { return cpu_ ? &cpu_->weights : nullptr; } // the weights of those

    // Threads for the next evaluation on the CPU: at most as many as the device was opened with.
    void set_threads(int threads);
    int threads() const { return threads_; }

    // What the CPU polls between two nodes of a graph. nullptr to end.
    void set_cancellation(const Cancellation * cancellation);

private:
    struct FreeBackend {
        void operator()(ggml_backend_t backend) const { ggml_backend_free(backend); }
    };
    void open(ggml_backend_dev_t device);
    void choose_kernels(const std::string & name, Precision precision);

    std::vector<std::unique_ptr<ggml_backend, FreeBackend>> owned_;
    std::vector<ggml_backend_t> backends_; // the same
    int threads_;
    std::unique_ptr<CpuPath> cpu_;
    const Cancellation * cancellation_ = nullptr;
};

} // namespace diffusion
