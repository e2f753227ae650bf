// LoRA files: small tensors added to the weights of a model, read and matched to it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cancellation.h"
#include "cpu/row_delta.h"
#include "weights/placed_weights.h"

namespace diffusion {

struct LoraFile {
    std::string path;
    double weight = 1;      // factor of its changes
    double text_weight = 1; // factor of its changes to text encoders
};

// How much of a file was applied.
struct LoraReport {
    LoraFile file;
    int64_t applied = 0; // tensors
    int64_t tensors = 0; // in the file
    // A sentence about the tensors that were not applied and are not word vectors; empty if there are none.
    std::string left;
    // A sentence about an unknown strength; empty if it is known.
    std::string unsure;
};

struct Loras {
    PlacedWeights::Deltas deltas;
    std::vector<LoraReport> reports; // one per file
};

// Supported: LoRA and LoCon (with and without a Tucker core), LoHa, LoKr, full differences, and changes to biases and
// norms. Throws Error: file, model_corrupt; model_incomplete if half of an adapter is missing; model_unsupported for
// files without adapters and for other adapter types, which it names; model_mismatch if a file changes no layer of this
// model, or one of another shape; out_of_memory if `host`, the machine's own memory, has too little for the numbers of
// a file; cancelled.
Loras read_loras(const std::vector<LoraFile> & files, const WeightBinder & weights, ggml_backend_t host,
                 const Cancellation & cancellation);

} // namespace diffusion
