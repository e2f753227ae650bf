// The tensors of one or more model files: names, types and shapes from the headers, data mapped and not yet read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ggml.h"

#include "cancellation.h"

namespace diffusion {

class MappedFile;

// A tensor where its file has it. The shape is in ggml's order: ne[0] is contiguous.
struct StoredTensor {
    std::string name;
    // The type in memory. For types that ggml lacks (bool, u8, f8_e4m3, ...) `supported` is false.
    ggml_type type = GGML_TYPE_F32;
    bool supported = true;
    std::string type_name; // as the file spells it, lower case
    int n_dims = 0;
    int64_t ne[GGML_MAX_DIMS] = {1, 1, 1, 1};
    const uint8_t * data = nullptr; // inside the mapping; may be less aligned than ggml's kernels like
    size_t n_bytes = 0;
    int file = 0; // index into TensorTable::files()

    int64_t n_elements() const { return ne[0] * ne[1] * ne[2] * ne[3]; }
};

struct StoredFile {
    std::string path;
    std::string format; // "safetensors", "gguf" or "pytorch"
    size_t n_bytes = 0;
    size_t n_tensors = 0;
    std::shared_ptr<const MappedFile> mapping;
    std::map<std::string, std::string> metadata;
};

class TensorTable {
public:
    // Opens a safetensors file, a safetensors index, a GGUF file or a PyTorch checkpoint and checks every name, type,
    // shape and offset in it. Throws Error (file, model_corrupt, model_unsupported, cancelled).
    static TensorTable open(const std::string & path, const Cancellation & cancellation);

    // Adds all tensors of `other`, each name prefixed. A name that is there already is an error (model_corrupt).
    void merge(const TensorTable & other, const std::string & prefix = "");

    // Of all its files, see MappedFile. Comes after the reading of tensors, whose values are to be trusted then.
    void check_unchanged() const;

    const std::vector<StoredFile> & files() const { return files_; }
    const std::vector<StoredTensor> & tensors() const { return tensors_; }
    // nullptr where there is none.
    const StoredTensor * find(const std::string & name) const;
    void add_file(StoredFile file);
    // Makes room for as many more tensors.
    void reserve(size_t n_tensors);
    // The file index of `tensor` must be valid. A duplicate name is an error (model_corrupt).
    void add(StoredTensor tensor);

private:
    std::vector<StoredFile> files_;
    std::vector<StoredTensor> tensors_;
    std::unordered_map<std::string, size_t> index_;
};

} // namespace diffusion
