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
    void begin(const std::string & network);
    // To be told of each node, before it is computed (`ask`) and after.
    void observe(const ggml_tensor * node, bool ask);

    // Slowest first.
    std::vector<ProfileEntry> entries() const;

private:
    void add(const ggml_tensor * node, double seconds);

    std::string network_;
    std::chrono::steady_clock::time_point started_;
    std::map<std::pair<std::string, std::string>, ProfileEntry> entries_;
};

} // namespace diffusion
