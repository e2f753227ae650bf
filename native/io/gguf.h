// Reader of GGUF files, versions 2 and 3.
#pragma once

#include <memory>

#include "io/mapped_file.h"
#include "io/tensor_table.h"

namespace diffusion {

// Reads metadata and tensor infos and checks them as the specification requires
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): known value and tensor types, rows of full blocks,
// aligned data within the file and without overlap, unique names. Reads every tensor type of this build's ggml.
// Metadata values become strings; arrays of up to 16 numbers are kept, of longer ones only the size. Throws Error
// (model_corrupt, model_unsupported, cancelled).
TensorTable read_gguf(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation);

} // namespace diffusion
