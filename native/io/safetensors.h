// Readers of safetensors files and of the index that ties several of them together.
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

// Opens every shard that `weight_map` names, each a plain file name beside the index, and checks that the index and the
// shards list the same tensors. Throws Error (file, model_corrupt, model_unsupported, cancelled).
TensorTable read_safetensors_index(const MappedFile & index, const Cancellation & cancellation);

} // namespace diffusion
