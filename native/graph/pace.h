// Divides the evaluation of a graph on a GPU into parts, so that it can be cancelled between them.
#pragma once

#include <chrono>

#include "graph/graph.h"

namespace diffusion {

class Pace {
public:
    // An evaluation begins.
    void begin();
    // Whether a part ends with the node, which is the next in order.
    bool stops_at(const ggml_tensor * node);
    // The device has computed everything up to the last of these nodes.
    void stopped();

private:
    using Clock = std::chrono::steady_clock;

    void measure(Clock::duration taken);

    // The work of a part, from what earlier ones took: a device may be a hundred times faster than another.
    double budget_ = 1e9;
    double work_ = 0;
    bool full_ = false;
    Clock::time_point since_;
};

} // namespace diffusion
