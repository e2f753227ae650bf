// Reads untrusted JSON: as events for large documents, as flat key-value pairs for small ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace diffusion {

// Receives the parts of a document in order. A handler rejects one by throwing.
class JsonEvents {
public:
    virtual ~JsonEvents() = default;
    virtual void begin_object() = 0;
    virtual void end_object() = 0;
    virtual void begin_array() = 0;
    virtual void end_array() = 0;
    virtual void key(std::string & text) = 0;
    virtual void string(std::string & text) = 0;
    virtual void unsigned_integer(uint64_t value) = 0;
    // A negative number, a fraction, a number beyond 64 bits, true, false or null; `text` names it.
    virtual void other(const char * text) = 0;
    // For handlers that need these values.
    virtual void number(double, const char * text) { other(text); }
    virtual void boolean(bool value) { other(value ? "true" : "false"); }
};

// Parses a complete document of valid UTF-8; memory stays bounded by the nesting depth. Throws Error (model_corrupt)
// that names `path`, and whatever `events` throws.
void parse_json(std::string_view text, const std::string & path, JsonEvents & events);

// Calls `visit` with each string in the document and the keys that lead to it. Objects may nest 8 deep; strings inside
// arrays and all other values are ignored. Throws Error (model_corrupt).
using JsonStringVisitor = std::function<void(const std::vector<std::string> & keys, std::string & value)>;
void visit_json_strings(std::string_view text, const std::string & path, const JsonStringVisitor & visit);

// A string, a number, true or false, a list of numbers; monostate for anything else.
using JsonValue = std::variant<std::monostate, std::string, double, bool, std::vector<double>>;
using JsonValues = std::map<std::string, JsonValue>;
// The top-level values of a configuration written by Python's `json`, including NaN and Infinity; null is omitted.
// Throws Error (model_corrupt; model_unsupported for more than 10 MB).
JsonValues read_json_values(std::string_view text, const std::string & path);
// The text of such a configuration, from which read_json_values() reads the same values.
std::string write_json_values(const JsonValues & values);

} // namespace diffusion
