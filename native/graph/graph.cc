// See graph.h.
#include "graph/graph.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace diffusion {

namespace {

// Slices beyond this number cost more in bookkeeping than they gain.
constexpr int64_t max_slices = 64;

// A node without inputs gives memory that the slices are then written into; it has nothing to compute.
void leave_uninitialized(ggml_tensor *, int, int, void *) {}

} // namespace

Graph::Graph(double node_flops) : node_flops_(node_flops) {
    ggml_init_params params{};
    params.mem_size = capacity * ggml_tensor_overhead() + ggml_graph_overhead_custom(capacity, false);
    params.no_alloc = true;
    context_ = ggml_init(params);
    if (!context_) throw Error(ErrorCode::out_of_memory, "No memory for the description of a graph.");
    nodes_ = ggml_new_graph_custom(context_, capacity, false);
}

Graph::~Graph() {
    ggml_free(context_);
}

Tensor Graph::expand(Tensor tensor) {
    // One block adds at most a few hundred tensors between two calls.
    const size_t reserve = 2048 * ggml_tensor_overhead();
    if (ggml_used_mem(context_) + reserve > ggml_get_mem_size(context_)) {
        throw Error(ErrorCode::model_unsupported,
                    "The network has more operations than this package evaluates in one graph (" +
                        std::to_string(capacity) + ").");
    }
    ggml_build_forward_expand(nodes_, tensor);
    return tensor;
}

int64_t Graph::slices(double flops, int64_t rows) const {
    if (!std::isfinite(node_flops_) || flops <= node_flops_) return 1;
    const auto wanted = static_cast<int64_t>(std::ceil(flops / node_flops_));
    return std::min({wanted, rows, max_slices});
}

Tensor Graph::in_slices(int64_t n, const int64_t (&ne)[4], int dim,
                        const std::function<Tensor(int64_t, int64_t)> & part) {
    const int64_t rows = ne[dim];
    if (n <= 1) return expand(part(0, rows));
    Tensor whole = ggml_custom_4d(context_, GGML_TYPE_F32, ne[0], ne[1], ne[2], ne[3], nullptr, 0, leave_uninitialized, 1,
                                  nullptr);
    for (int64_t i = 0; i < n; i++) {
        const int64_t begin = rows * i / n;
        const int64_t end = rows * (i + 1) / n;
        whole = expand(ggml_set_inplace(context_, whole, part(begin, end), whole->nb[1], whole->nb[2], whole->nb[3],
                                        begin * whole->nb[dim]));
    }
    return whole;
}

} // namespace diffusion
