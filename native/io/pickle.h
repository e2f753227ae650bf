// Reads Python pickles as data: the result is a tree of values, and nothing that a pickle names is ever run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "cancellation.h"
#include "io/pickle_class.h"

namespace diffusion {

enum class PickleKind : uint8_t {
    none,
    boolean,
    integer,
    large_integer, // beyond 64 bits: `text` has its bytes, little-endian
    real,
    text, // a str, or a Python 2 string, which may not be UTF-8
    bytes,
    list, // or a set
    tuple,
    dict,
    class_,     // a class or function itself
    object,     // the arguments of a class's call, and its state: two items, the second perhaps `no_value`
    persistent, // a reference to something outside the pickle: its id is the only item
};

inline constexpr uint32_t no_value = UINT32_MAX;

struct PickleValue {
    PickleKind kind = PickleKind::none;
    const PickleClass * type = nullptr; // of a class_ or an object
    int64_t integer = 0;                // also a boolean
    double real = 0;
    std::string_view text = {};       // inside the bytes that were read
    std::vector<uint32_t> items = {}; // indices of values; of a dict key, value, key, value, ...
};

// Values refer to each other by index, so that shared, deeply nested and cyclic ones cost nothing and traversal ends.
struct Pickle {
    std::deque<PickleValue> values;
    uint32_t root = 0;
    size_t n_bytes = 0; // number of bytes read, including STOP

    const PickleValue & at(uint32_t index) const { return values[index]; }
    // The value of a string key in a dict; nullptr if there is none.
    const PickleValue * find(const PickleValue & dict, std::string_view key) const;
};

// No pickle may create more values than this. A checkpoint has a few dozen per tensor.
inline constexpr size_t most_pickle_values = 2'000'000;

// Reads the pickle at the start of `bytes`, in protocols 2 to 5 (https://peps.python.org/pep-3154/, PEP 574 and
// CPython's pickletools). The protocol 0 opcodes that pickles from protocol 2 on do not use, the extension registry and
// out-of-band buffers are rejected by name, and so is every class that is not on the list of pickle_class.h. State of a
// dictionary, items of an inert object and members that cannot matter are dropped. `path` is for messages. Throws Error
// (model_corrupt, model_unsupported, cancelled).
Pickle read_pickle(std::string_view bytes, const std::string & path, const Cancellation & cancellation);

// For messages: "the string 'a'", "a dictionary", "an object of class 'numpy.ndarray'", ...
std::string describe(const PickleValue & value);

} // namespace diffusion
