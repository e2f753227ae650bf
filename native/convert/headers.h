// What stands before the data of a file of tensors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convert/contents.h"
#include "convert/type_choice.h"

namespace diffusion {

// A tensor of the file that is being written.
struct PlannedTensor {
    const NamedTensor * tensor;
    Storage storage;

    // Sizes as the format has them, the fastest dimension first.
    std::vector<uint64_t> shape() const;
    uint64_t bytes() const;
};

// Each tensor's data begins at a multiple of it.
inline constexpr uint64_t gguf_alignment = 32;

// GGUF version 3, padded up to where the data begins. `architecture` may be empty.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
std::string gguf_header(const std::vector<PlannedTensor> & tensors, const Metadata & metadata,
                        const std::string & architecture);

// https://huggingface.co/docs/safetensors
std::string safetensors_header(const std::vector<PlannedTensor> & tensors, const Metadata & metadata);

} // namespace diffusion
