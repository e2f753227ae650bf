// Reader of GGUF files, versions 2 and 3.
#pragma once

#include <memory>

#include "io/mapped_file.h"
#include "io/tensor_table.h"

namespace diffusion {

// Reads metadata and tensor infos and checks them as the specification demands
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): known value and tensor types, rows of whole blocks,
// aligned data within the file and without overlap, no name twice. Every tensor type of the ggml in this build is read.
// Metadata values become strings; of arrays up to 16 numbers, of longer ones only the size. Throws Error
// (model_corrupt, model_unsupported, cancelled).
TensorTable read_gguf(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation);

} // namespace diffusion
