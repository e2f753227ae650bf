// ggml's devices, and the backends that compute on one of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ggml-backend.h"

#include "cancellation.h"

namespace diffusion {

struct DeviceInfo {
    std::string name;
    std::string backend; // "cpu", "cuda", "vulkan", "metal", ...
    std::string description;
    std::string type;      // "cpu", "gpu", "accelerator"
    bool software = false; // a GPU that is a program on the CPU
    int64_t memory_total = 0;
    int64_t memory_free = 0;
    std::vector<std::string> features;
};

std::vector<DeviceInfo> backend_devices();

class Backends {
public:
    // `name`: one of backend_devices(). Throws Error (device) for an unknown name, with a list of the known ones, and
    // if the system does not grant that many threads.
    Backends(const std::string & name, int threads);
    Backends(const Backends &) = delete;
    Backends & operator=(const Backends &) = delete;

    // The device itself.
    ggml_backend_t backend() const { return backends_.front(); }
    // The device, then the CPU for operations that the device does not support.
    const std::vector<ggml_backend_t> & backends() const { return backends_; }
    bool is_cpu() const { return backends_.size() == 1; }

    // Threads for the next evaluation on the CPU, at most as many as the device was opened with.
    void set_threads(int threads);
    int threads() const { return threads_; }

    // The flag that the CPU polls between two nodes of a graph; nullptr for none.
    void set_cancellation(const Cancellation * cancellation);

private:
    struct FreeBackend {
        void operator()(ggml_backend_t backend) const { ggml_backend_free(backend); }
    };
    void open(ggml_backend_dev_t device);

    std::vector<std::unique_ptr<ggml_backend, FreeBackend>> owned_;
    std::vector<ggml_backend_t> backends_; // the same pointers
    int threads_;
    const Cancellation * cancellation_ = nullptr;
};

} // namespace diffusion
