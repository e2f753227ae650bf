// See pace.h.
#include "graph/pace.h"

#include <algorithm>

namespace diffusion {

namespace {

using std::chrono::milliseconds;

// A part takes half of the time in which a cancellation should have an effect, and many times as long as the wait at its end.
constexpr milliseconds shortest{25}, longest{100};
// A single node is often more than this.
constexpr double least_work = 1e7;

// In floating-point operations.
double work_of(const ggml_tensor * node) {
    const double numbers = static_cast<double>(ggml_nelements(node));
    const ggml_tensor *a = node->src[0], *b = node->src[1];
    switch (node->op) {
        case GGML_OP_MUL_MAT: return 2.0 * static_cast<double>(a->ne[0]) * numbers;
        case GGML_OP_CONV_2D: return 2.0 * static_cast<double>(a->ne[0] * a->ne[1] * a->ne[2]) * numbers;
        case GGML_OP_FLASH_ATTN_EXT: return 4.0 * static_cast<double>(b->ne[1]) * numbers;
        default: return Graph::number_work * numbers;
    }
}

} // namespace

void Pace::begin() {
    work_ = 0;
    full_ = false;
    since_ = Clock::now();
}

bool Pace::stops_at(const ggml_tensor * node) {
    work_ += work_of(node);
    full_ = work_ >= budget_;
    return full_;
}

void Pace::stopped() {
    measure(Clock::now() - since_);
    begin();
}

void Pace::measure(Clock::duration taken) {
    if (taken > longest) {
        const double share = std::chrono::duration<double>(longest) / std::chrono::duration<double>(taken);
        budget_ = std::max(least_work, work_ * share / 2);
    } else if (full_ && taken < shortest) {
        budget_ *= 2;
    }
}

} // namespace diffusion
