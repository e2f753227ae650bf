// What a network declares of its inputs, outputs and settings, and the check of what it is given against that. Shapes are
// [outermost, ..., innermost], as in lib/native/contract.ts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "ggml.h"

namespace diffusion {

// One side of an array: a number, or a multiple of a size that is the same wherever its name stands.
struct Side {
    Side(int64_t number) : factor(number) {} // NOLINT(google-explicit-constructor): sides are written as lists
    Side(const char * name, int64_t times = 1, int64_t largest = 1 << 16) : size(name), factor(times), most(largest) {}

    std::string size; // "batch", "height", ...; empty for a number
    int64_t factor = 1;
    int64_t most = 1 << 16; // that the side may be
};

// An input or an output. One with a `height` and a `width` is an image of at most 2^28 pixels.
struct Port {
    std::string name;
    std::vector<Side> shape;
    bool optional = false;
    ggml_type type = GGML_TYPE_F32; // or GGML_TYPE_I32: ids of a vocabulary
    int64_t ids = 0;                // how many there are
    std::string more_ids{};         // the name of a size: so many more
};

// What chooses among the graphs of a network.
struct Setting {
    std::string name;
    int64_t least = 0, most = 1;
    int64_t fallback = 0;
    std::string refusal; // what to say of a number above `most` that is one for other networks of the kind
};
using Settings = std::map<std::string, int64_t>;

struct Signature {
    std::vector<Port> inputs, outputs;
    std::vector<Setting> settings;
    bool takes_controls = false; // ControlNets may add to what it computes
};

struct Array {
    std::vector<int64_t> shape;
    std::variant<std::vector<float>, std::vector<int32_t>> values; // as many as the shape says, or none in an estimate
};
using Arrays = std::map<std::string, Array>;

// The sizes that the sides of inputs name.
using Sizes = std::map<std::string, int64_t>;

// Throws Error (invalid_argument) unless these are inputs of such ports, and what comes out is no larger than images may be.
Sizes check_inputs(const std::vector<Port> & inputs, const std::vector<Port> & outputs, const Arrays & given);

// All settings, with what is given. Throws Error (invalid_argument, model_unsupported).
Settings check_settings(const std::vector<Setting> & settings, const Settings & given);

} // namespace diffusion
