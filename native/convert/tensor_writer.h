// Converts the numbers of tensors on several threads and writes them in order, using little memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cancellation.h"
#include "convert/contents.h"
#include "convert/output_file.h"
#include "cpu/thread_pool.h"
#include "io/number_type.h"

namespace diffusion {

class TensorWriter {
public:
    using Progress = std::function<void(size_t read)>; // bytes of the source since the last call

    explicit TensorWriter(int threads);

    // Copies the bytes if the type stays the same. Throws Error (non_finite, write, cancelled).
    void write(const NamedTensor & tensor, const NumberType & type, OutputFile & file, const Progress & progress,
               const Cancellation & cancellation);

private:
    class Slices;

    int threads_;
    ThreadPool pool_;
    std::vector<float> values_;
    std::vector<uint8_t> converted_;
};

} // namespace diffusion
