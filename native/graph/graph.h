// A ggml graph under construction: the context that holds its tensors, and the limit on the work of one node.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "backend/memory.h"
#include "cancellation.h"
#include "cpu/operation.h"

namespace diffusion {

class ThreadPool;

class Graph {
public:
    // Capacities in tensors: enough for a small network, and more than any network of this package needs.
    static constexpr size_t small = 1 << 12, largest = 1 << 18;
    // Thrown when a graph's capacity is exhausted, so that the caller builds a larger one.
    class Full {};

    // Limits of one node, above which layers are computed in slices.
    struct Limits {
        // Floating-point operations, so that cancellation, which is checked between nodes, is prompt, and the scratch
        // memory of convolutions and attention stays small. Infinite on GPUs, where a node takes milliseconds.
        double work = INFINITY;
        // Bytes of a tensor that only exists within a layer: an unfolded image, attention scores.
        double scratch = INFINITY;
        // Whether the device evaluates custom operations, as the CPU does.
        bool custom_operations = true;
    };

    // Throws std::bad_alloc.
    explicit Graph(const Limits & limits, size_t capacity = small);
    ~Graph();
    Graph(const Graph &) = delete;
    Graph & operator=(const Graph &) = delete;

    ggml_context * context() const { return context_.get(); }
    ggml_cgraph * nodes() const { return nodes_; }

    // Appends `tensor` and its dependencies to the order of evaluation. Layers call it as they go, so that the
    // recursion over dependencies stays shallow. Throws Full if the graph is about to exceed its capacity.
    Tensor expand(Tensor tensor);

    // The cost of writing and reading back one number, in floating-point operations of a matrix product.
    static constexpr double number_work = 64;

    // The number of slices for a node of `work` operations and `scratch` bytes with `rows` independent rows.
    int64_t slices(double work, double scratch, int64_t rows) const;

    // A tensor [ne0, ne1, ne2, ne3] computed in `n` slices of its dimension `dim`: `part(begin, end)` builds one slice.
    Tensor in_slices(int64_t n, const int64_t (&ne)[4], int dim,
                     const std::function<Tensor(int64_t begin, int64_t end)> & part);

    // Adds a node that `pool` computes, which must outlive the graph.
    Tensor add(NewNode node, ThreadPool & pool);

    // Memory for others to write, on the CPU.
    Tensor memory(ggml_type type, const std::array<int64_t, 4> & ne);
    // Adds a node that `pool` computes and that writes into `memory`, the first of its sources. It has no type and
    // shape of its own. Returns the memory as it is then.
    Tensor write(Tensor memory, NewNode node, ThreadPool & pool);

    // Marks what an evaluation has done once `tensor` is computed, for its progress.
    void milestone(Tensor tensor) { milestones_.insert(tensor); }
    const std::set<const ggml_tensor *> & milestones() const { return milestones_; }

    // Floating-point operations of all added nodes.
    double work() const;

    // The operation that computes the tensor; nullptr for ggml's own.
    static const Operation * operation_of(const ggml_tensor * tensor);

    // Calls `make` once per tensor and caches the result.
    Tensor once(Tensor tensor, const std::function<Tensor()> & make);

    // Scratch memory for the added operations on this many threads.
    size_t scratch_bytes(int threads) const { return scratch_each_ * threads; }
    // Must precede an evaluation, which uses this many threads. Throws std::bad_alloc.
    void allocate_scratch(int threads);

    // The flag that threads poll while they compute; nullptr for none.
    void set_cancellation(const Cancellation * cancellation) { cancellation_ = cancellation; }

private:
    class Job;
    Job & make_job(NewNode & node, ThreadPool & pool);
    Tensor added(Tensor y, Job & job);
    Tensor written(Tensor full, Tensor slice, size_t offset);
    Tensor copied(Tensor full, Tensor slice, size_t offset);
    struct Free {
        void operator()(ggml_context * context) const { ggml_free(context); }
    };
    static void compute(Tensor y, int thread, int n_threads, void * job);

    // More than the few hundred tensors that a block adds between two calls of expand().
    static constexpr size_t slack = 2048;
    // The most sources that all nodes may have together; ggml's graph gets this size.
    size_t most_sources() const { return 4 * (capacity_ + slack); }

    size_t capacity_;
    std::unique_ptr<char[]> memory_;
    std::unique_ptr<ggml_context, Free> context_; // in memory_
    ggml_cgraph * nodes_ = nullptr;
    size_t empty_ = 0;     // bytes of the context without tensors
    size_t n_sources_ = 0; // of all nodes in the order of evaluation
    Limits limits_;
    std::vector<std::unique_ptr<Job>> jobs_;
    std::map<Tensor, Tensor> made_;
    std::set<const ggml_tensor *> milestones_;
    size_t scratch_each_ = 0;
    LargeMemory scratch_;
    int threads_ = 1;
    const Cancellation * cancellation_ = nullptr;
};

} // namespace diffusion
