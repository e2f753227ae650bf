// A ggml graph under construction: the context that holds its tensors and the limit on the work of one node.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>

#include "ggml.h"

namespace diffusion {

using Tensor = ggml_tensor *;

class Graph {
public:
    // More tensors than any network of this package needs; a file that asks for more is refused, not evaluated.
    static constexpr size_t capacity = 1 << 18;

    // `node_work` bounds the work of one node in floating-point operations, so that an abort between two nodes is prompt and
    // the scratch memory of a convolution or an attention stays small. Infinite on devices that are aborted between
    // evaluations.
    explicit Graph(double node_work);
    ~Graph();
    Graph(const Graph &) = delete;
    Graph & operator=(const Graph &) = delete;

    ggml_context * context() const { return context_; }
    ggml_cgraph * nodes() const { return nodes_; }

    // Appends what `tensor` depends on to the order of evaluation. Blocks call it as they go, so that the recursion over
    // dependencies stays shallow. Throws Error (model_unsupported) when the graph is about to outgrow its capacity.
    Tensor expand(Tensor tensor);

    // What writing and reading back one number costs, in floating-point operations of a matrix product.
    static constexpr double number_work = 64;

    // How many slices a node of that much work is cut into when it has `rows` independent rows.
    int64_t slices(double work, int64_t rows) const;

    // A tensor [ne0, ne1, ne2, ne3] computed in `n` slices of its dimension `dim`: `part(begin, end)` builds one of them.
    Tensor in_slices(int64_t n, const int64_t (&ne)[4], int dim,
                     const std::function<Tensor(int64_t begin, int64_t end)> & part);

private:
    ggml_context * context_ = nullptr;
    ggml_cgraph * nodes_ = nullptr;
    double node_work_;
};

} // namespace diffusion
