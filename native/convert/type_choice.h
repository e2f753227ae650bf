// Which type each tensor of a converted file gets: the one that was asked for, where it fits and does not hurt.
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

// The types that weights are converted to, best first.
const std::vector<std::string> & conversion_types();

// How a tensor is stored.
struct Storage {
    const NumberType * type = nullptr;
    // Numbers of a row, where that is not the fastest dimension: then the tensor is a matrix of such rows for the format, and its shape
    // is in the metadata (`comfy.gguf.orig_shape.NAME`).
    int64_t row = 0;
};

class TypeChoice {
public:
    struct Rule {
        std::string pattern; // ECMAScript, found anywhere in a name
        std::string type;
    };

    // `type` and those of `rules` are of conversion_types(); an empty one keeps the type that a tensor has. Throws Error
    // (invalid_argument) for a pattern that is none.
    TypeChoice(TensorFormat format, FileKind kind, const std::string & type, const std::vector<Rule> & rules,
               bool keep_convolutions);

    // Throws Error (model_unsupported) for a tensor that the format cannot have in any type.
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
