// An operation of a graph that this package computes itself, on the CPU.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ggml.h"

namespace diffusion {

using Tensor = ggml_tensor *;

// What a thread has while it works on one operation.
struct ThreadScratch {
    void * memory = nullptr; // Operation::scratch_bytes() of it, aligned to a cache line
    int64_t held = -1;       // of the operation's own use: what the memory holds from an earlier part
};

// Threads take parts one after the other until none is left, so that a thread that is held up holds up nobody.
class Operation {
public:
    virtual ~Operation() = default;

    virtual const char * name() const = 0;
    virtual int64_t parts() const = 0;
    virtual size_t scratch_bytes() const { return 0; }
    // Floating-point operations of all parts, where they are what takes the time.
    virtual double work() const { return 0; }
    // Bytes that it reads beside the node's sources.
    virtual double weight_bytes() const { return 0; }
    virtual void compute(Tensor y, int64_t part, ThreadScratch & scratch) = 0;
};

// A node that a graph is to get: what computes it, its type and shape, and the tensors that it is computed from.
struct NewNode {
    std::unique_ptr<Operation> operation;
    ggml_type type = GGML_TYPE_F32;
    std::array<int64_t, 4> ne = {};
    std::vector<Tensor> sources; // those that are nullptr are left out
};

} // namespace diffusion
