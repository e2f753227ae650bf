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
#include "io/number_type.h"

namespace diffusion {

class MappedFile;

// A tensor as its file stores it. The shape is in ggml's order: ne[0] is the fastest dimension. read_numbers.h reads
// it.
struct StoredTensor {
    std::string name;
    const NumberType * type = &number_type(GGML_TYPE_F32);
    int n_dims = 0; // with more than GGML_MAX_DIMS, the last of `ne` is the product of all others
    int64_t ne[GGML_MAX_DIMS] = {1, 1, 1, 1};
    // Strides of each dimension in numbers, if they are not contiguous in the order of the shape.
    bool strided = false;
    int64_t strides[GGML_MAX_DIMS] = {};
    // Factors of the numbers: none, one for all, or one for each index of the slowest dimension.
    std::vector<float> scales = {};
    const uint8_t * data = nullptr; // inside the mapping; may be less aligned than ggml's kernels require
    size_t n_bytes = 0;             // from the first number to the last
    int file = 0;                   // index into TensorTable::files()
    // A converted tensor has no data: its numbers are those of `source`, in its own type.
    std::shared_ptr<const StoredTensor> source = nullptr;

    int64_t n_elements() const { return ne[0] * ne[1] * ne[2] * ne[3]; }
    // Contiguous numbers without a factor, of a type that ggml has.
    bool is_plain() const { return !strided && scales.empty() && type->ggml != GGML_TYPE_COUNT; }
    // The tensor whose data is in the file.
    const StoredTensor & in_file() const { return source ? *source : *this; }
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
    // shape and offset in it; separate scales become part of their weights. Throws Error (file, model_corrupt,
    // model_unsupported, cancelled).
    static TensorTable open(const std::string & path, const Cancellation & cancellation);

    // Adds all tensors of `other`, each name prefixed. A duplicate name is an error (model_corrupt).
    void merge(const TensorTable & other, const std::string & prefix = "");

    // For all its files, see MappedFile. Call it after reading tensors; their values are valid once it returns.
    void check_unchanged() const;

    const std::vector<StoredFile> & files() const { return files_; }
    const std::vector<StoredTensor> & tensors() const { return tensors_; }
    // nullptr if there is none.
    const StoredTensor * find(const std::string & name) const;
    void add_file(StoredFile file);
    // Reserves space for as many more tensors.
    void reserve(size_t n_tensors);
    // Tensor `i` is converted to `type`, of which its numbers must be full blocks.
    void convert(size_t i, const NumberType & type);
    // The file index of `tensor` must be valid. A duplicate name is an error (model_corrupt).
    void add(StoredTensor tensor);

private:
    std::vector<StoredFile> files_;
    std::vector<StoredTensor> tensors_;
    std::unordered_map<std::string, size_t> index_;
};

} // namespace diffusion
