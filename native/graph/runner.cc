// See runner.h.
#include "graph/runner.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <optional>

#include "backend/cores.h"
#include "backend/memory.h"

namespace diffusion {

namespace {

// Memory that idle plans may keep. Above this, plans are freed as soon as another needs memory.
constexpr size_t idle_bytes = size_t{512} << 20;

// ggml's CPU kernels count rows in 32 bits, and some of them also bytes of an image or elements of a copy.
bool fits_cpu_kernels(const ggml_tensor * node) {
    constexpr int64_t most = INT32_MAX;
    const ggml_tensor * source = node->src[0];
    const ggml_tensor * image = node->op == GGML_OP_IM2COL ? node->src[1] : nullptr;
    const bool flat_copy = node->op == GGML_OP_CONT && ggml_is_contiguous(source);
    return node->ne[0] <= most && ggml_nrows(node) <= most && !(flat_copy && ggml_nelements(node) > most) &&
           !(image && static_cast<int64_t>(image->ne[3] > 1 ? image->nb[3] : image->nb[2]) > most);
}

// ggml's threads spin at a barrier after every node. A further thread pays off if nodes do this much work on average;
// with less, it gains little on idle cores and costs a time slice per node on busy ones.
constexpr double thread_node_work = 1e6;

int useful_threads(const Graph & graph) {
    double work = graph.work();
    const int n_nodes = ggml_graph_n_nodes(graph.nodes());
    for (int i = 0; i < n_nodes; i++) {
        const Tensor node = ggml_graph_node(graph.nodes(), i);
        if (node->op == GGML_OP_MUL_MAT) work += 2.0 * node->src[0]->ne[0] * ggml_nelements(node);
    }
    constexpr double most = 1 << 20; // more than any machine has
    return 1 + static_cast<int>(std::min(work / n_nodes / thread_node_work, most));
}

struct FreeSched {
    void operator()(ggml_backend_sched_t sched) const { ggml_backend_sched_free(sched); }
};

std::string key_of(const std::string & name, const std::string & variant, const std::vector<GraphInput> & inputs) {
    std::string key = name + '/' + variant;
    for (const auto & input : inputs) {
        key += '/';
        for (const int64_t n : input.ne) key += std::to_string(n) + ',';
    }
    return key;
}

} // namespace

struct Runner::Plan {
    std::string name, key;
    std::unique_ptr<Graph> graph;
    std::unique_ptr<ggml_backend_sched, FreeSched> sched;
    std::vector<Tensor> inputs;
    std::vector<std::vector<char>> sent; // what each of them has on a device other than the CPU
    std::vector<Tensor> outputs;
    std::unique_ptr<WeightStream> stream; // nullptr if no weights are streamed
    size_t n_bytes = 0;                   // of compute memory on all backends
    int threads = 1;
    // Whether nodes must be evaluated in their order: evaluations stop between them, or they write to shared memory.
    bool keeps_order = false;

    size_t held_bytes() const { return n_bytes + (stream ? stream->bytes() : 0); }

    // Writes an input, unless the device has it from the evaluation before, as prompts from step to step.
    void send(size_t i, const void * data) {
        const size_t size = ggml_nbytes(inputs[i]);
        if (sent.empty()) return ggml_backend_tensor_set(inputs[i], data, 0, size);
        const auto * bytes = static_cast<const char *>(data);
        if (std::ranges::equal(sent[i], std::span(bytes, size))) return;
        sent[i].clear();
        ggml_backend_tensor_set(inputs[i], data, 0, size);
        sent[i].assign(bytes, bytes + size);
    }
};

Runner::Runner(Device & device, Profile * profile) : device_(device), profile_(profile) {}
Runner::~Runner() = default;

// Settings of device and graph during an evaluation.
class Runner::Evaluation {
public:
    Evaluation(Runner & runner, Plan & plan, const std::string & name, const Cancellation & cancellation,
               const Progress & progress)
        : runner_(runner), plan_(plan), cancellation_(cancellation), progress_(progress) {
        // This package's operations have their own threads; ggml's would only spin at barriers.
        runner.device_.set_threads(runner.device_.cpu() ? 1 : plan.threads);
        runner.device_.set_cancellation(&cancellation);
        plan.graph->set_cancellation(&cancellation);
        if (runner.profile_) runner.profile_->begin(name);
        // The CPU checks the flag itself.
        const bool paces = !runner.device_.is_cpu();
        if (paces) runner.pace_.begin();
        if (runner.profile_ || plan.keeps_order || paces) {
            ggml_backend_sched_set_eval_callback(plan.sched.get(), on_node, this);
        }
    }
    ~Evaluation() {
        if (plan_.stream) plan_.stream->end();
        ggml_backend_sched_set_eval_callback(plan_.sched.get(), nullptr, nullptr);
        plan_.graph->set_cancellation(nullptr);
        runner_.device_.set_cancellation(nullptr);
    }
    Evaluation(const Evaluation &) = delete;
    Evaluation & operator=(const Evaluation &) = delete;

    ggml_status compute() const {
        if (plan_.stream) plan_.stream->begin();
        const ggml_status status = ggml_backend_sched_graph_compute(plan_.sched.get(), plan_.graph->nodes());
        if (failure_) std::rethrow_exception(failure_);
        return status;
    }

private:
    // ggml asks which nodes to stop at, and calls again there; false ends the evaluation.
    static bool on_node(ggml_tensor * node, bool ask, void * evaluation) {
        auto & self = *static_cast<Evaluation *>(evaluation);
        const auto & milestones = self.plan_.graph->milestones();
        const bool is_milestone = milestones.contains(node);
        const bool ends_part = self.plan_.stream && self.plan_.stream->ends_part(node);
        if (self.runner_.profile_) self.runner_.profile_->observe(node, ask);
        if (ask) {
            const bool stops = !self.runner_.device_.is_cpu() && self.runner_.pace_.stops_at(node);
            return self.runner_.profile_ || is_milestone || ends_part || stops;
        }
        self.runner_.pace_.stopped();
        if (is_milestone && self.progress_) {
            self.attempt([&] { self.progress_(++self.done_, static_cast<int64_t>(milestones.size())); });
        }
        if (self.cancellation_.cancelled() || self.failure_) return false;
        if (ends_part) self.attempt([&] { self.plan_.stream->next(); });
        return !self.failure_;
    }

    // Nothing may be thrown through ggml.
    template <typename Step> void attempt(const Step & step) noexcept {
        try {
            step();
        } catch (...) {
            failure_ = std::current_exception();
        }
    }

    Runner & runner_;
    Plan & plan_;
    const Cancellation & cancellation_;
    const Progress & progress_;
    int64_t done_ = 0;
    std::exception_ptr failure_;
};

std::vector<std::vector<float>> Runner::run(const std::string & name, const std::string & variant,
                                            const std::vector<GraphInput> & inputs, const Build & build,
                                            const Cancellation & cancellation, const Progress & progress) {
    cancellation.throw_if_cancelled();
    Plan & p = plan(name, variant, inputs, build);
    for (size_t i = 0; i < inputs.size(); i++) p.send(i, inputs[i].data);
    std::vector<std::vector<float>> results;
    for (const Tensor output : p.outputs) results.emplace_back(ggml_nelements(output));
    std::optional<CoreLease> cores;
    if (device_.is_cpu()) cores.emplace(p.threads, cancellation);
    const ggml_status status = Evaluation(*this, p, name, cancellation, progress).compute();

    cancellation.throw_if_cancelled();
    if (status == GGML_STATUS_ALLOC_FAILED) throw out_of_memory(p.n_bytes, device_.backend(), "evaluating the " + name);
    if (status != GGML_STATUS_SUCCESS) {
        throw Error(ErrorCode::device, "The device " + std::string(ggml_backend_name(device_.backend())) +
                                           " failed while evaluating the " + name + ".");
    }
    for (size_t i = 0; i < results.size(); i++) {
        ggml_backend_tensor_get(p.outputs[i], results[i].data(), 0, ggml_nbytes(p.outputs[i]));
    }
    return results;
}

size_t Runner::measure(const std::string & name, const std::string & variant, const std::vector<GraphInput> & inputs,
                       const Build & build) {
    const std::string key = key_of(name, variant, inputs);
    for (const auto & plan : plans_) {
        if (plan->key == key) return plan->n_bytes;
    }
    size_t capacity = Graph::small;
    const auto draft = draft_plan(name, inputs, build, capacity);
    const std::vector<size_t> sizes = reserve(*draft);
    const int threads = std::min(useful_threads(*draft->graph), device_.threads());
    return std::accumulate(sizes.begin(), sizes.end(), draft->graph->scratch_bytes(threads));
}

size_t Runner::held_bytes(const std::string & name) const {
    size_t bytes = 0;
    for (const auto & plan : plans_) bytes += plan->name == name ? plan->held_bytes() : 0;
    return bytes;
}

Runner::Plan & Runner::plan(const std::string & name, const std::string & variant,
                            const std::vector<GraphInput> & inputs, const Build & build) {
    const std::string key = key_of(name, variant, inputs);
    const auto kept = std::ranges::find_if(plans_, [&](const auto & plan) { return plan->key == key; });
    if (kept != plans_.end()) {
        plans_.splice(plans_.begin(), plans_, kept);
        return *plans_.front();
    }
    auto made = make_plan(name, inputs, build);
    made->name = name;
    made->key = key;
    plans_.push_front(std::move(made));
    return *plans_.front();
}

std::unique_ptr<Runner::Plan> Runner::make_plan(const std::string & name, const std::vector<GraphInput> & inputs,
                                                const Build & build) {
    const std::vector<ggml_backend_t> & backends = device_.backends();
    // Scheduling changes a graph, so the one that was measured cannot be evaluated: it is built a second time.
    size_t capacity = Graph::small;
    const std::vector<size_t> sizes = reserve(*draft_plan(name, inputs, build, capacity));
    const size_t n_bytes = std::accumulate(sizes.begin(), sizes.end(), size_t{0});
    evict(n_bytes);
    for (size_t i = 0; i < backends.size(); i++) require_memory(sizes[i], backends[i], "evaluating the " + name);

    auto p = draft_plan(name, inputs, build, capacity);
    // Scheduling replaces sources by copies, so it comes after that.
    if (p->keeps_order && device_.streamed_weights()) {
        p->stream = std::make_unique<WeightStream>(*device_.streamed_weights(), *p->graph);
        if (p->stream->empty()) p->stream.reset();
    }
    p->threads = std::min(useful_threads(*p->graph), device_.threads());
    p->n_bytes = n_bytes + p->graph->scratch_bytes(p->threads);
    if (device_.cpu()) {
        require_memory(p->n_bytes + device_.cpu()->weights.pending_bytes(), device_.backend(),
                       "evaluating the " + name);
    }
    p->graph->allocate_scratch(p->threads);
    if (!ggml_backend_sched_alloc_graph(p->sched.get(), p->graph->nodes())) {
        throw out_of_memory(n_bytes, device_.backend(), "evaluating the " + name);
    }
    if (p->stream) {
        require_memory(p->stream->bytes(), device_.backend(), "evaluating the " + name);
        if (!p->stream->allocate(*p->graph)) {
            throw out_of_memory(p->stream->bytes(), device_.backend(), "evaluating the " + name);
        }
    }
    if (device_.is_cpu()) {
        const ggml_backend_buffer_t buffer = p->outputs.front()->buffer;
        prefer_huge_pages(ggml_backend_buffer_get_base(buffer), ggml_backend_buffer_get_size(buffer));
    }
    return p;
}

std::unique_ptr<Runner::Plan> Runner::draft_plan(const std::string & name, const std::vector<GraphInput> & inputs,
                                                 const Build & build, size_t & capacity) {
    for (;; capacity *= 4) {
        try {
            return draft_plan_within(capacity, name, inputs, build);
        } catch (const Graph::Full &) {
            if (capacity < Graph::largest) continue;
            throw Error(ErrorCode::model_unsupported, "The " + name + " has more operations than a graph can hold (" +
                                                          std::to_string(Graph::largest) + ").");
        }
    }
}

std::unique_ptr<Runner::Plan> Runner::draft_plan_within(size_t capacity, const std::string & name,
                                                        const std::vector<GraphInput> & inputs, const Build & build) {
    auto p = std::make_unique<Plan>();
    p->graph = device_.make_graph(capacity);
    for (const auto & input : inputs) {
        Tensor tensor = ggml_new_tensor(p->graph->context(), input.type, GGML_MAX_DIMS, input.ne.data());
        ggml_set_input(tensor);
        // So that nothing else gets its memory.
        if (!device_.is_cpu()) ggml_set_output(tensor);
        p->inputs.push_back(tensor);
    }
    if (!device_.is_cpu()) p->sent.resize(inputs.size());
    const std::unique_ptr<Layers> layers = device_.make_layers(*p->graph);
    for (const Tensor output : build(*layers, p->inputs)) {
        // A part of other memory keeps all of that.
        const bool kept = output->view_src && output->type == GGML_TYPE_F32 && ggml_is_contiguous(output);
        if (kept) ggml_set_output(output->view_src);
        p->outputs.push_back(kept ? output : ggml_cont(p->graph->context(), output));
        ggml_set_output(p->outputs.back());
        p->graph->expand(p->outputs.back());
    }

    auto backends = device_.backends();
    for (int i = 0; i < ggml_graph_n_nodes(p->graph->nodes()); i++) {
        const Tensor node = ggml_graph_node(p->graph->nodes(), i);
        if (device_.is_cpu() && !fits_cpu_kernels(node)) {
            throw Error(ErrorCode::out_of_memory, "The " + name +
                                                      " would need tensors of more than 2^31 rows or bytes. "
                                                      "Use a smaller image or a smaller batch.");
        }
        const bool supported = std::any_of(backends.begin(), backends.end(),
                                           [&](ggml_backend_t b) { return ggml_backend_supports_op(b, node); });
        if (!supported) {
            const char * type = node->src[0] ? ggml_type_name(node->src[0]->type) : "none";
            throw Error(ErrorCode::model_unsupported, "No device supports the operation " +
                                                          std::string(ggml_op_desc(node)) + " on type " + type +
                                                          ", which the " + name + " needs.");
        }
    }

    const size_t n_tensors = ggml_graph_n_nodes(p->graph->nodes()) * 2 + inputs.size() + 1024; // nodes and leafs
    p->sched.reset(require_made(
        ggml_backend_sched_new(backends.data(), nullptr, static_cast<int>(backends.size()), n_tensors, false, false)));
    p->keeps_order = !p->graph->milestones().empty() || reads_streamed(*p->graph);
    // While there is a callback, the scheduler does not change the order.
    const auto any_node = [](ggml_tensor *, bool ask, void *) { return !ask; };
    if (p->keeps_order) ggml_backend_sched_set_eval_callback(p->sched.get(), any_node, nullptr);
    return p;
}

bool Runner::reads_streamed(const Graph & graph) const {
    return device_.streamed_weights() && !WeightStream(*device_.streamed_weights(), graph).empty();
}

std::vector<size_t> Runner::reserve(Plan & draft) const {
    std::vector<size_t> sizes(device_.backends().size());
    if (!ggml_backend_sched_reserve_size(draft.sched.get(), draft.graph->nodes(), sizes.data())) throw std::bad_alloc();
    return sizes;
}

void Runner::forget_all() noexcept {
    plans_.clear();
    return_freed_memory();
}

void Runner::forget(const std::string & name) noexcept {
    if (std::erase_if(plans_, [&](const auto & plan) { return plan->name == name; }) > 0) return_freed_memory();
}

void Runner::evict(size_t needed) {
    size_t kept = 0;
    for (const auto & p : plans_) kept += p->held_bytes();
    if (plans_.empty() || kept + needed <= idle_bytes) return;
    while (!plans_.empty() && kept + needed > idle_bytes) {
        kept -= plans_.back()->held_bytes();
        plans_.pop_back();
    }
    return_freed_memory();
}

} // namespace diffusion
