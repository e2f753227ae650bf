// An operation of a graph that this package's kernels compute on the CPU.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ggml.h"

namespace diffusion {

using Tensor = ggml_tensor *;

// A thread's scratch memory during one operation.
struct ThreadScratch {
    void * memory = nullptr; // Operation::scratch_bytes(), aligned to a cache line
    int64_t held = -1;       // set by the operation: identifies what an earlier part left in the memory
};

// Threads take parts one by one until none is left, so that a delayed thread does not delay the others.
class Operation {
public:
    virtual ~Operation() = default;

    virtual const char * name() const = 0;
    virtual int64_t parts() const = 0;
    virtual size_t scratch_bytes() const { return 0; }
    // Floating-point operations of all parts; 0 if memory bandwidth limits the operation.
    virtual double work() const { return 0; }
    // Bytes that it reads in addition to the node's sources.
    virtual double weight_bytes() const { return 0; }
    virtual void compute(Tensor y, int64_t part, ThreadScratch & scratch) = 0;
    // After all parts.
    virtual void finish() {}
};

// A node to add to a graph: its operation, type, shape and sources.
struct NewNode {
    std::unique_ptr<Operation> operation;
    ggml_type type = GGML_TYPE_F32;
    std::array<int64_t, 4> ne = {};
    std::vector<Tensor> sources; // null pointers are omitted
};

} // namespace diffusion
