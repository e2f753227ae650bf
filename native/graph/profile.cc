// See profile.h.
#include "graph/profile.h"

#include <algorithm>

#include "graph/graph.h"

namespace diffusion {

namespace {

using Clock = std::chrono::steady_clock;

double flop_of(const ggml_tensor * node) {
    if (const Operation * operation = Graph::operation_of(node)) return operation->work();
    return node->op == GGML_OP_MUL_MAT ? 2.0 * node->src[0]->ne[0] * ggml_nelements(node) : 0;
}

double bytes_of(const ggml_tensor * node) {
    const Operation * operation = Graph::operation_of(node);
    double bytes = ggml_nbytes(node) + (operation ? operation->weight_bytes() : 0.0);
    for (const ggml_tensor * source : node->src) bytes += source ? ggml_nbytes(source) : 0;
    return bytes;
}

} // namespace

void Profile::attach(ggml_backend_sched_t sched, const std::string & network) {
    network_ = network;
    started_ = Clock::now();
    ggml_backend_sched_set_eval_callback(sched, on_node, this);
}

void Profile::detach(ggml_backend_sched_t sched) {
    ggml_backend_sched_set_eval_callback(sched, nullptr, nullptr);
}

bool Profile::on_node(ggml_tensor * node, bool ask, void * profile) {
    auto & self = *static_cast<Profile *>(profile);
    const auto now = Clock::now();
    if (!ask) self.add(node, std::chrono::duration<double>(now - self.started_).count());
    self.started_ = now;
    return true;
}

void Profile::add(const ggml_tensor * node, double seconds) {
    const Operation * operation = Graph::operation_of(node);
    const std::string name = operation ? operation->name() : ggml_op_desc(node);
    ProfileEntry & entry = entries_[{network_, name}];
    entry.network = network_;
    entry.operation = name;
    entry.calls++;
    entry.seconds += seconds;
    entry.flop += flop_of(node);
    entry.bytes += bytes_of(node);
}

std::vector<ProfileEntry> Profile::entries() const {
    std::vector<ProfileEntry> list;
    for (const auto & [key, entry] : entries_) list.push_back(entry);
    std::sort(list.begin(), list.end(), [](const auto & a, const auto & b) { return a.seconds > b.seconds; });
    return list;
}

} // namespace diffusion
