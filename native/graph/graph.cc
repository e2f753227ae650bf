// See graph.h.
#include "graph/graph.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>

#include "cpu/thread_pool.h"
#include "error.h"

namespace diffusion {

namespace {

// More slices cost more in bookkeeping than they gain.
constexpr int64_t max_slices = 256;

constexpr size_t cache_line = 64;

// For a node that only provides memory, into which slices are written.
void leave_uninitialized(ggml_tensor *, int, int, void *) {}

// Copies the rows of the second source into `full`, `offset` bytes from its start. ggml's own operation for this stores
// the offset in 30 bits, too few for an image of 1024x1024.
void write_slice(ggml_tensor * full, int thread, int n_threads, void * offset) {
    const ggml_tensor * slice = full->src[1];
    const int64_t rows = ggml_nrows(slice);
    for (int64_t row = thread; row < rows; row += n_threads) {
        const int64_t i1 = row % slice->ne[1], i2 = row / slice->ne[1] % slice->ne[2];
        const int64_t i3 = row / (slice->ne[1] * slice->ne[2]);
        char * to = static_cast<char *>(full->data) + reinterpret_cast<size_t>(offset);
        const char * from = static_cast<const char *>(slice->data);
        std::memcpy(to + i1 * full->nb[1] + i2 * full->nb[2] + i3 * full->nb[3],
                    from + i1 * slice->nb[1] + i2 * slice->nb[2] + i3 * slice->nb[3], slice->ne[0] * sizeof(float));
    }
}

} // namespace

class Graph::Job : public PoolJob {
public:
    Job(Graph & g, ThreadPool & p, std::unique_ptr<Operation> o) : graph(g), pool(p), operation(std::move(o)) {}

    int64_t parts() const override { return operation->parts(); }
    void work(int64_t part, Parts & next, int thread) override {
        ThreadScratch scratch{graph.scratch_.data() + thread * graph.scratch_each_};
        do {
            // A job ends when all its parts are taken, even if it was cancelled.
            if (!graph.cancellation_ || !graph.cancellation_->cancelled()) operation->compute(y, part, scratch);
        } while ((part = next.take()) >= 0);
    }

    Graph & graph;
    ThreadPool & pool;
    std::unique_ptr<Operation> operation;
    Tensor y = nullptr;
};

Graph::Graph(const Limits & limits, size_t capacity) : capacity_(capacity), limits_(limits) {
    ggml_init_params params{};
    params.mem_size = (capacity + slack) * ggml_tensor_overhead() + ggml_graph_overhead_custom(most_sources(), false);
    memory_ = std::make_unique_for_overwrite<char[]>(params.mem_size);
    params.mem_buffer = memory_.get();
    params.no_alloc = true;
    context_.reset(require_made(ggml_init(params)));
    nodes_ = ggml_new_graph_custom(context(), most_sources(), false);
    empty_ = ggml_used_mem(context());
}

Graph::~Graph() = default;

Tensor Graph::expand(Tensor tensor) {
    const size_t n_tensors = (ggml_used_mem(context()) - empty_) / ggml_tensor_overhead();
    const int n_nodes = ggml_graph_n_nodes(nodes_);
    // An upper bound: tensors that are not in the graph yet may have GGML_MAX_SRC sources, which bounds the leafs too.
    const size_t sources = n_sources_ + GGML_MAX_SRC * (n_tensors - n_nodes);
    if (n_tensors > capacity_ || sources > most_sources()) throw Full();
    ggml_build_forward_expand(nodes_, tensor);
    for (int i = n_nodes; i < ggml_graph_n_nodes(nodes_); i++) {
        const auto & src = ggml_graph_node(nodes_, i)->src;
        n_sources_ += std::count_if(std::begin(src), std::end(src), [](Tensor source) { return source != nullptr; });
    }
    return tensor;
}

int64_t Graph::slices(double work, double scratch, int64_t rows) const {
    const double for_work = std::min<double>(std::ceil(work / limits_.work), max_slices);
    const double rows_within = std::max(1.0, std::floor(limits_.scratch * static_cast<double>(rows) / scratch));
    const double for_scratch = std::ceil(static_cast<double>(rows) / rows_within);
    return static_cast<int64_t>(std::clamp<double>(std::max(for_work, for_scratch), 1, static_cast<double>(rows)));
}

Tensor Graph::in_slices(int64_t n, const int64_t (&ne)[4], int dim,
                        const std::function<Tensor(int64_t, int64_t)> & part) {
    const int64_t rows = ne[dim];
    if (n <= 1) return expand(part(0, rows));
    ggml_context * ctx = context();
    Tensor full = nullptr;
    if (limits_.custom_operations) {
        full =
            ggml_custom_4d(ctx, GGML_TYPE_F32, ne[0], ne[1], ne[2], ne[3], nullptr, 0, leave_uninitialized, 1, nullptr);
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t begin = rows * i / n;
        const int64_t end = rows * (i + 1) / n;
        Tensor slice = part(begin, end);
        if (!full) {
            // A device has no operation that only provides memory; this one writes all of it.
            full = expand(ggml_repeat_4d(ctx, ggml_view_1d(ctx, expand(slice), 1, 0), ne[0], ne[1], ne[2], ne[3]));
        }
        const size_t offset = begin * full->nb[dim];
        full = limits_.custom_operations ? written(full, slice, offset) : copied(full, slice, offset);
    }
    return full;
}

Tensor Graph::written(Tensor full, Tensor slice, size_t offset) {
    return expand(ggml_custom_inplace(context(), full, &slice, 1, write_slice, GGML_N_TASKS_MAX,
                                      reinterpret_cast<void *>(offset)));
}

Tensor Graph::copied(Tensor full, Tensor slice, size_t offset) {
    ggml_context * ctx = context();
    const auto & nb = full->nb;
    Tensor place =
        ggml_view_4d(ctx, full, slice->ne[0], slice->ne[1], slice->ne[2], slice->ne[3], nb[1], nb[2], nb[3], offset);
    Tensor copy = expand(ggml_cpy(ctx, slice, place));
    Tensor whole = ggml_view_4d(ctx, full, full->ne[0], full->ne[1], full->ne[2], full->ne[3], nb[1], nb[2], nb[3], 0);
    // Who reads the whole depends on the copy. Without that, ggml would never free the memory of the whole.
    whole->src[1] = copy;
    return expand(whole);
}

Graph::Job & Graph::make_job(NewNode & node, ThreadPool & pool) {
    std::erase(node.sources, nullptr);
    scratch_each_ = std::max(scratch_each_, GGML_PAD(node.operation->scratch_bytes(), cache_line));
    return *jobs_.emplace_back(std::make_unique<Job>(*this, pool, std::move(node.operation)));
}

Tensor Graph::added(Tensor y, Job & job) {
    ggml_set_name(y, job.operation->name());
    y->extra = &job;
    return expand(y);
}

Tensor Graph::add(NewNode node, ThreadPool & pool) {
    Job & job = make_job(node, pool);
    const auto & ne = node.ne;
    return added(ggml_custom_4d(context(), node.type, ne[0], ne[1], ne[2], ne[3], node.sources.data(),
                                static_cast<int>(node.sources.size()), compute, 1, &job),
                 job);
}

Tensor Graph::memory(ggml_type type, const std::array<int64_t, 4> & ne) {
    return expand(
        ggml_custom_4d(context(), type, ne[0], ne[1], ne[2], ne[3], nullptr, 0, leave_uninitialized, 1, nullptr));
}

Tensor Graph::write(Tensor memory, NewNode node, ThreadPool & pool) {
    Job & job = make_job(node, pool);
    return added(ggml_custom_inplace(context(), memory, node.sources.data(), static_cast<int>(node.sources.size()),
                                     compute, 1, &job),
                 job);
}

double Graph::work() const {
    double work = 0;
    for (const auto & job : jobs_) work += job->operation->work();
    return work;
}

const Operation * Graph::operation_of(const ggml_tensor * tensor) {
    return tensor->extra ? static_cast<const Job *>(tensor->extra)->operation.get() : nullptr;
}

Tensor Graph::once(Tensor tensor, const std::function<Tensor()> & make) {
    const auto found = made_.find(tensor);
    if (found != made_.end()) return found->second;
    return made_.emplace(tensor, make()).first->second;
}

void Graph::allocate_scratch(int threads) {
    threads_ = threads;
    scratch_ = LargeMemory(scratch_bytes(threads));
}

void Graph::compute(Tensor y, int thread, int, void * user) {
    if (thread > 0) return; // the pool has its own threads
    Job & job = *static_cast<Job *>(user);
    job.y = y;
    job.pool.run(job, job.graph.threads_);
    job.operation->finish();
}

} // namespace diffusion
