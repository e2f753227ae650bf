// Chooses the type of each converted tensor: the requested one unless it does not fit or would harm images.
#pragma once

#include <optional>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "io/number_type.h"
#include "io/tensor_table.h"
#include "names/names.h"
#include "source/file_kind.h"
#include "source/source.h"

namespace diffusion {

enum class TensorFormat { gguf, safetensors };

// The types that weights can be converted to, best first.
const std::vector<std::string> & conversion_types();

struct TypeRule {
    std::string pattern; // ECMAScript, matches anywhere in a name
    std::string type;
};

// The types are among conversion_types(); an empty one keeps a tensor's type.
struct TypeRequest {
    std::string type;
    std::vector<TypeRule> rules; // the first match counts
};

struct NamedTensor {
    std::string name;      // in the converted file
    std::string canonical; // see names.h
    ModelPart component = ModelPart::none;
    const StoredTensor * stored = nullptr;
};

// How a tensor is stored.
struct Storage {
    const NumberType * type = nullptr;
    // Numbers per row, if that is not the fastest dimension: the tensor is then stored as a matrix of such rows, and
    // its shape as metadata (`comfy.gguf.orig_shape.NAME`).
    int64_t row = 0;
};

class TypeChoice {
public:
    // Throws Error (invalid_argument) for an invalid pattern.
    TypeChoice(TensorFormat format, FileKind kind, const TypeRequest & request, bool keep_convolutions);

    // Throws Error (model_unsupported) for a tensor that the format cannot store in any type.
    Storage operator()(const NamedTensor & tensor) const;

private:
    bool format_has(const NumberType & type) const;
    const NumberType & kept_type(const StoredTensor & stored) const;
    Storage quantized(const StoredTensor & stored, const NumberType & type) const;
    bool is_sensitive(const NamedTensor & tensor) const;

    TensorFormat format_;
    FileKind kind_;
    const NumberType * type_;
    std::vector<std::pair<std::regex, const NumberType *>> rules_;
    bool keep_convolutions_;
};

// Tensors are converted when a model is loaded, to the types that they would have in a GGUF file of it. `source`: where
// they come from. Throws Error (invalid_argument) for an invalid pattern.
void convert_tensors(ModelTensors & tensors, const Source & source, const TypeRequest & request);

} // namespace diffusion
