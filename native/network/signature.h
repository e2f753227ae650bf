// The declaration of a network's inputs, outputs and settings, and checks of arguments against it. Shapes are
// [outermost, ..., innermost], as in lib/native/contract.ts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "ggml.h"

namespace diffusion {

// One dimension of an array: a number, or a multiple of a named size that all arrays share.
struct Side {
    Side(int64_t number) : factor(number) {} // NOLINT(google-explicit-constructor): shapes are written as lists
    Side(const char * name, int64_t times = 1, int64_t largest = 1 << 16) : size(name), factor(times), most(largest) {}

    std::string size; // "batch", "height", ...; empty for a number
    int64_t factor = 1;
    int64_t most = 1 << 16; // the largest length
};

// An input or an output. One with a `height` and a `width` is an image of at most 2^28 pixels.
struct Port {
    std::string name;
    std::vector<Side> shape;
    bool optional = false;
    ggml_type type = GGML_TYPE_F32; // or GGML_TYPE_I32: ids of a vocabulary
    int64_t ids = 0;                // size of the vocabulary
    std::string more_ids{};         // name of a size that is added to it
};

// An integer that selects a variant of a network's graph.
struct Setting {
    std::string name;
    int64_t least = 0, most = 1;
    int64_t fallback = 0;
    std::string refusal; // message for a value above `most` that only this network does not support
};
using Settings = std::map<std::string, int64_t>;

struct Signature {
    std::vector<Port> inputs, outputs;
    std::vector<Setting> settings;
    bool takes_controls = false; // accepts ControlNets
};

struct Array {
    std::vector<int64_t> shape;
    std::variant<std::vector<float>, std::vector<int32_t>> values; // the product of the shape; empty in an estimate
};
using Arrays = std::map<std::string, Array>;

// The values of named sizes.
using Sizes = std::map<std::string, int64_t>;

// Throws Error (invalid_argument) unless `given` matches `inputs` and no output exceeds the size limit of images.
Sizes check_inputs(const std::vector<Port> & inputs, const std::vector<Port> & outputs, const Arrays & given);

// All settings, with the given values or their defaults. Throws Error (invalid_argument, model_unsupported).
Settings check_settings(const std::vector<Setting> & settings, const Settings & given);

} // namespace diffusion
