// The cost of a model's operations, by network and kind.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ggml-backend.h"

namespace diffusion {

struct ProfileEntry {
    std::string network, operation;
    int64_t calls = 0;
    double seconds = 0;
    double flop = 0;  // floating-point operations of matrix products and attention
    double bytes = 0; // read and written, counting each number once
};

// Measures the time of each node. Nodes then run one by one, and ggml starts its threads for each, which costs some
// hundredths of a second per evaluation.
class Profile {
public:
    void attach(ggml_backend_sched_t sched, const std::string & network);
    void detach(ggml_backend_sched_t sched);

    // Slowest first.
    std::vector<ProfileEntry> entries() const;

private:
    static bool on_node(ggml_tensor * node, bool ask, void * profile);
    void add(const ggml_tensor * node, double seconds);

    std::string network_;
    std::chrono::steady_clock::time_point started_;
    std::map<std::pair<std::string, std::string>, ProfileEntry> entries_;
};

} // namespace diffusion
