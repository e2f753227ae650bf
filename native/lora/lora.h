// LoRA files: small tensors that add to the weights of a model, read and fitted to it.
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
    double weight = 1;      // that its changes are multiplied by
    double text_weight = 1; // that those of text encoders are
};

// How much of a file found its place.
struct LoraReport {
    LoraFile file;
    int64_t applied = 0; // tensors
    int64_t tensors = 0; // in the file
    // A sentence on the tensors that were not applied, and no vectors of words; empty where there are none.
    std::string left;
    // A sentence on a strength that is not known for sure; empty where it is.
    std::string unsure;
};

struct Loras {
    PlacedWeights::Deltas deltas;
    std::vector<LoraReport> reports; // one a file
};

// Forms: LoRA and LoCon (with and without a Tucker core), LoHa, LoKr, whole differences, and what is added to biases and norms. Throws
// Error: file, model_corrupt; model_incomplete where half of an adapter is missing; model_unsupported for files without adapters and
// for other kinds of them, which it names; model_mismatch where a file changes no layer of this model, or one of another shape;
// out_of_memory where `host`, the backend of the machine's own memory, has not
// enough for the numbers of a file; cancelled.
Loras read_loras(const std::vector<LoraFile> & files, const WeightBinder & weights, ggml_backend_t host,
                 const Cancellation & cancellation);

} // namespace diffusion
