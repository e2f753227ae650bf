// Writes the weights of any readable source to one GGUF or safetensors file, in other types.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cancellation.h"
#include "source/carried_configuration.h"
#include "source/source.h"
#include "weights/type_choice.h"

namespace diffusion {

struct ConversionOptions {
    std::string output;    // the final path, for messages
    std::string temporary; // the path that is written; incomplete if the conversion fails
    TensorFormat format = TensorFormat::gguf;
    TypeRequest types;
    bool keep_convolutions = false; // convolution weights whose rows are not full blocks stay in f16
    Metadata metadata;              // in addition to the source's
    int threads = 1;
};

struct ConversionReport {
    int64_t tensors = 0;
    int64_t n_bytes = 0;
    std::map<std::string, int64_t> types; // number of tensors of each
};

// Bytes of the source.
using ConversionProgress = std::function<void(int64_t done, int64_t total)>;

// Throws Error: those of reading, and write, non_finite, model_unsupported, cancelled. The source need not be a known
// network.
ConversionReport convert(const Source & source, const ConversionOptions & options, const ConversionProgress & progress,
                         const Cancellation & cancellation);

} // namespace diffusion
