// What the operations of a model cost, by network and kind.
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
    double flop = 0;  // floating-point operations of products and attention
    double bytes = 0; // read and written, each number once
};

// Takes the time of each node. Nodes then run one by one, and threads start anew for each, which costs some hundredths
// of a second an evaluation.
class Profile {
public:
    void attach(ggml_backend_sched_t sched, const std::string & network);
    void detach(ggml_backend_sched_t sched);

    // The most expensive first.
    std::vector<ProfileEntry> entries() const;

private:
    static bool on_node(ggml_tensor * node, bool ask, void * profile);
    void add(const ggml_tensor * node, double seconds);

    std::string network_;
    std::chrono::steady_clock::time_point started_;
    std::map<std::pair<std::string, std::string>, ProfileEntry> entries_;
};

} // namespace diffusion
