// A ggml graph under construction: the context that holds its tensors and the limit on the work of one node.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "backend/memory.h"
#include "cancellation.h"
#include "cpu/operation.h"

namespace diffusion {

class ThreadPool;

class Graph {
public:
    // Tensors for which a graph has room: enough for a small network, and more than any of this package needs.
    static constexpr size_t small = 1 << 12, largest = 1 << 18;
    // Thrown by a graph that has none left: it is to be built in a larger one.
    class Full {};

    // `node_work` bounds the work of one node in floating-point operations, so that an abort between two nodes is
    // prompt and the scratch memory of a convolution or an attention stays small. Infinite on devices that are aborted
    // between evaluations. Throws std::bad_alloc.
    explicit Graph(double node_work, size_t capacity = small);
    ~Graph();
    Graph(const Graph &) = delete;
    Graph & operator=(const Graph &) = delete;

    ggml_context * context() const { return context_.get(); }
    ggml_cgraph * nodes() const { return nodes_; }

    // Appends what `tensor` depends on to the order of evaluation. Layers call it as they go, so that the recursion
    // over dependencies stays shallow. Throws Full when the graph is about to outgrow its capacity.
    Tensor expand(Tensor tensor);

    // What writing and reading back one number costs, in floating-point operations of a matrix product.
    static constexpr double number_work = 64;

    // How many slices a node of that much work is cut into when it has `rows` independent rows.
    int64_t slices(double work, int64_t rows) const;

    // A tensor [ne0, ne1, ne2, ne3] computed in `n` slices of its dimension `dim`: `part(begin, end)` builds one of
    // them.
    Tensor in_slices(int64_t n, const int64_t (&ne)[4], int dim,
                     const std::function<Tensor(int64_t begin, int64_t end)> & part);

    // What `pool` computes, which must outlive the graph.
    Tensor add(NewNode node, ThreadPool & pool);

    // Floating-point operations of what was added.
    double work() const;

    // What computes the tensor; nullptr where ggml does.
    static const Operation * operation_of(const ggml_tensor * tensor);

    // `make()`, once for each tensor.
    Tensor once(Tensor tensor, const std::function<Tensor()> & make);

    // Bytes that `allocate_scratch` takes, and the memory that added operations need on each of that many threads.
    // Throws std::bad_alloc.
    size_t scratch_bytes(int threads) const { return scratch_each_ * threads; }
    void allocate_scratch(int threads); // on which operations are then computed

    // What the threads poll while they compute. nullptr to end.
    void set_cancellation(const Cancellation * cancellation) { cancellation_ = cancellation; }

private:
    class Job;
    struct Free {
        void operator()(ggml_context * context) const { ggml_free(context); }
    };
    static void compute(Tensor y, int thread, int n_threads, void * job);

    // One block adds at most a few hundred tensors between two calls of expand().
    static constexpr size_t slack = 2048;
    // Sources that all nodes may have, and so what ggml makes room for in the order of evaluation.
    size_t most_sources() const { return 4 * (capacity_ + slack); }

    size_t capacity_;
    std::unique_ptr<char[]> memory_;
    std::unique_ptr<ggml_context, Free> context_; // in that memory
    ggml_cgraph * nodes_ = nullptr;
    size_t empty_ = 0;     // bytes that the context takes without tensors
    size_t n_sources_ = 0; // of all nodes in the order
    double node_work_;
    std::vector<std::unique_ptr<Job>> jobs_;
    std::map<Tensor, Tensor> made_;
    size_t scratch_each_ = 0;
    LargeMemory scratch_;
    int threads_ = 1;
    const Cancellation * cancellation_ = nullptr;
};

} // namespace diffusion
