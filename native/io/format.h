// The format of a file, recognized by its first bytes and never by its name.
#pragma once

#include "io/mapped_file.h"

namespace diffusion {

enum class FileFormat { safetensors, shard_index, gguf, torch_zip, torch_pickles };

// Throws Error for anything else: model_unsupported, with what the file seems to be and what to do about it, or
// model_corrupt if it looks like the beginning of a model file.
FileFormat recognise_format(const MappedFile & file);

} // namespace diffusion
