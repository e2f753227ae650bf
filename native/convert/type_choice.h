// Chooses the type of each tensor in a converted file: the requested one unless it does not fit or would harm images.
#pragma once

#include <optional>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "convert/contents.h"
#include "io/number_type.h"

namespace diffusion {

enum class TensorFormat { gguf, safetensors };

// The types that weights can be converted to, best first.
const std::vector<std::string> & conversion_types();

// How a tensor is stored.
struct Storage {
    const NumberType * type = nullptr;
    // Numbers per row, if that is not the fastest dimension: the tensor is then stored as a matrix of such rows, and
    // its shape as metadata (`comfy.gguf.orig_shape.NAME`).
    int64_t row = 0;
};

class TypeChoice {
public:
    struct Rule {
        std::string pattern; // ECMAScript, matches anywhere in a name
        std::string type;
    };

    // `type` and those of `rules` are among conversion_types(); empty keeps a tensor's type. Throws Error
    // (invalid_argument) for an invalid pattern.
    TypeChoice(TensorFormat format, FileKind kind, const std::string & type, const std::vector<Rule> & rules,
               bool keep_convolutions);

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

} // namespace diffusion
