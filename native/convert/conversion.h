// Writing the weights of any readable source as one GGUF or safetensors file, in other types.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cancellation.h"
#include "convert/type_choice.h"
#include "source/source.h"

namespace diffusion {

struct ConversionOptions {
    std::string output;    // where the file will be in the end; messages name it
    std::string temporary; // where it is written; left half written where the conversion fails
    TensorFormat format = TensorFormat::gguf;
    std::string type; // of conversion_types(), or empty for those of the source
    std::vector<TypeChoice::Rule> rules;
    bool keep_convolutions = false; // kernels that no rows of whole blocks make stay in f16
    Metadata metadata;              // besides that of the source
    int threads = 1;
};

struct ConversionReport {
    int64_t tensors = 0;
    int64_t n_bytes = 0;
    std::map<std::string, int64_t> types; // tensors of each
};

// Bytes of the source.
using ConversionProgress = std::function<void(int64_t done, int64_t total)>;

// Throws Error: those of reading, and write, non_finite, model_unsupported, cancelled. Parts of the source need no network that is known.
ConversionReport convert(const Source & source, const ConversionOptions & options, const ConversionProgress & progress,
                         const Cancellation & cancellation);

} // namespace diffusion
