// The headers of tensor files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convert/contents.h"
#include "weights/type_choice.h"

namespace diffusion {

// A tensor to be written.
struct PlannedTensor {
    const NamedTensor * tensor;
    Storage storage;

    // The shape in the file, fastest dimension first.
    std::vector<uint64_t> shape() const;
    uint64_t bytes() const;
};

// Each tensor's data begins at a multiple of this.
inline constexpr uint64_t gguf_alignment = 32;

// GGUF version 3, padded to the beginning of the data. `architecture` may be empty.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
std::string gguf_header(const std::vector<PlannedTensor> & tensors, const Metadata & metadata,
                        const std::string & architecture);

// https://huggingface.co/docs/safetensors
std::string safetensors_header(const std::vector<PlannedTensor> & tensors, const Metadata & metadata);

} // namespace diffusion
