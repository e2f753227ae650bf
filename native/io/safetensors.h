// The reader of safetensors files.
#pragma once

#include <memory>

#include "io/mapped_file.h"
#include "io/tensor_table.h"

namespace diffusion {

// Reads the header and checks it as the format requires (https://huggingface.co/docs/safetensors, "Format"): a JSON
// object of at most 100 MB; known types; matching sizes; data that fills the rest of the file with no gap and no
// overlap. A tensor whose type or rank ggml lacks is in the table as not `supported`. Throws Error (model_corrupt,
// model_unsupported, cancelled).
TensorTable read_safetensors(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation);

} // namespace diffusion
