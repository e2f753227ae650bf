// Converts the numbers of tensors on several threads, in order, using little memory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cancellation.h"
#include "cpu/thread_pool.h"
#include "io/number_type.h"
#include "io/tensor_table.h"

namespace diffusion {

class TensorConverter {
public:
    // Receives the bytes of the result, and how many bytes of the tensor became them.
    using Sink = std::function<void(const uint8_t * bytes, size_t n_bytes, size_t read)>;

    explicit TensorConverter(int threads) : threads_(threads) {}

    // Copies the bytes if the type stays the same. `name`: the tensor's, for messages. Throws Error (non_finite,
    // cancelled) and whatever `sink` throws.
    void convert(const StoredTensor & tensor, const std::string & name, const NumberType & type, const Sink & sink,
                 const Cancellation & cancellation);

private:
    class Slices;

    int threads_;
    std::optional<ThreadPool> pool_; // and memory, from the first call on
    std::vector<float> values_;
    std::vector<uint8_t> converted_;
};

} // namespace diffusion
