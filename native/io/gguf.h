// Reader of GGUF files, versions 2 and 3.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/mapped_file.h"
#include "io/tensor_table.h"

namespace diffusion {

// Reads metadata and tensor infos and checks them as the specification requires
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): known value and tensor types, rows of full blocks,
// aligned data within the file and without overlap, unique names. Reads every tensor type of this build's ggml.
// Metadata values become strings; arrays of up to 16 numbers are kept, of longer ones only the size. Throws Error
// (model_corrupt, model_unsupported, cancelled).
TensorTable read_gguf(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation);

// An array of numbers or of strings in the metadata.
struct GgufArray {
    std::vector<double> numbers;
    std::string bytes;          // of all strings, one after the other
    std::vector<uint32_t> ends; // of each string in `bytes`
};

struct GgufValues {
    std::map<std::string, std::string> metadata; // as read_gguf stores it
    std::map<std::string, GgufArray> arrays;
};

// Reads the metadata whose keys start with `prefix`, with arrays of any length; nested ones are left out. Checks the file
// as read_gguf does, and that it is GGUF (model_unsupported). A file with more than 64 MiB of strings in these arrays, or of numbers at 8 bytes each, is
// model_unsupported.
GgufValues read_gguf_values(const std::string & path, const std::string & prefix, const Cancellation & cancellation);

} // namespace diffusion
