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

void Profile::begin(const std::string & network) {
    network_ = network;
    started_ = Clock::now();
}

void Profile::observe(const ggml_tensor * node, bool ask) {
    const auto now = Clock::now();
    if (!ask) add(node, std::chrono::duration<double>(now - started_).count());
    started_ = now;
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
