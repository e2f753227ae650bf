// Weights that stay in main memory until a device evaluates the part of a graph that reads them.
#pragma once

#include <cstddef>
#include <future>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "ggml-backend.h"

#include "graph/graph.h"

namespace diffusion {

struct FreeBackendBuffer {
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
};
using BackendBuffer = std::unique_ptr<ggml_backend_buffer, FreeBackendBuffer>;

// The streamed weights of a device. Between evaluations they have no memory on it, only an address that means nothing,
// so that graphs can be planned.
class StreamedWeights {
public:
    // Throws std::bad_alloc.
    explicit StreamedWeights(ggml_backend_t device);

    // `data` must stay valid until forget().
    void add(Tensor weight, const void * data);
    void forget(Tensor weight) noexcept;
    // The weight's numbers; nullptr if it is not streamed, or has memory of its own on the device, as one that a LoRA
    // changes.
    const void * find(const ggml_tensor * weight) const;
    // Takes the weight's memory on the device from it.
    void displace(Tensor weight) const noexcept;

    ggml_backend_t device() const { return device_; }

private:
    const ggml_backend_t device_;
    BackendBuffer nowhere_;
    std::unordered_map<const ggml_tensor *, const void *> data_;
};

// The streamed weights of one graph. Its nodes are divided into parts whose weights fit a window of device memory; while a
// part is computed from one window, the weights of the next are copied to another. A weight that several parts read stays
// for a whole evaluation.
class WeightStream {
public:
    // Copies of this size keep a bus busy.
    static constexpr size_t usual_window = size_t{64} << 20;

    // Of the nodes in the order in which they are evaluated. A window has at least the weights of one node. `weights`
    // must outlive it.
    WeightStream(const StreamedWeights & weights, const Graph & graph, size_t window = usual_window);
    ~WeightStream();
    WeightStream(const WeightStream &) = delete;
    WeightStream & operator=(const WeightStream &) = delete;

    bool empty() const { return copies_.empty(); }
    size_t parts() const { return parts_.size(); }
    // Of device memory.
    size_t bytes() const;
    // Allocates it, and directs the graph's views of weights there. Returns false if there is none.
    bool allocate(const Graph & graph);

    // An evaluation: begin(), next() after the last node of each part, end(). Throw std::bad_alloc and what the device's
    // backend throws.
    void begin();
    bool ends_part(const ggml_tensor * node) const { return ends_.contains(node); }
    void next();
    void end() noexcept;

private:
    struct Copy {
        Tensor weight;
        const void * data;
        size_t bytes; // of device memory
        size_t offset = 0;
    };
    using Copies = std::vector<Copy>;

    void divide(const Graph & graph, size_t window);
    void copy(const Copy & copy) const;
    void copy_part(size_t part) const;
    void prefetch(size_t part);

    const StreamedWeights & weights_;
    std::unordered_map<const ggml_tensor *, Copy> copies_;
    std::vector<Copies> parts_;
    Copies staying_;
    std::set<const ggml_tensor *> ends_;
    size_t window_bytes_ = 0, staying_bytes_ = 0;
    BackendBuffer memory_;
    size_t current_ = 0;
    std::future<void> coming_; // the next part
};

} // namespace diffusion
