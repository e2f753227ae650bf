// The reader of safetensors files.
#pragma once

#include <memory>

#include "io/mapped_file.h"
#include "io/tensor_table.h"

namespace diffusion {

// Reads the header and checks it as the format demands (https://huggingface.co/docs/safetensors, "Format"): a JSON
// object of at most 100 MB; known types; sizes that match; data that fills the rest of the file with no gap and no
// overlap. A type or a rank that ggml lacks leaves the tensor in the table as not `supported`. Throws Error
// (model_corrupt, model_unsupported, cancelled).
TensorTable read_safetensors(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation);

} // namespace diffusion
