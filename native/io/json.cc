// Our JSON events on top of nlohmann's parser, which keeps its own stack and so needs no limit on nesting.
#include "io/json.h"

#include "nlohmann/json.hpp"

#include "io/file_error.h"

namespace diffusion {

namespace {

// The interface required by nlohmann::json::sax_parse; returning true means continue.
class Adapter {
public:
    Adapter(const std::string & path, JsonEvents & events) : path_(path), events_(events) {}

    bool null() { return other("null"); }
    bool boolean(bool value) { return events_.boolean(value), true; }
    bool number_integer(int64_t value) { return events_.number(static_cast<double>(value), "a negative number"), true; }
    bool number_float(double value, const std::string &) {
        return events_.number(value, "a fraction or a number beyond 64 bits"), true;
    }
    bool binary(nlohmann::json::binary_t &) { return other("binary data"); }
    bool number_unsigned(uint64_t value) { return events_.unsigned_integer(value), true; }
    bool string(std::string & value) { return events_.string(value), true; }
    bool key(std::string & value) { return events_.key(value), true; }
    bool start_object(size_t) { return events_.begin_object(), true; }
    bool end_object() { return events_.end_object(), true; }
    bool start_array(size_t) { return events_.begin_array(), true; }
    bool end_array() { return events_.end_array(), true; }

    bool parse_error(size_t position, const std::string &, const nlohmann::json::exception &) {
        throw corrupt_file(path_, "the JSON is malformed at byte " + std::to_string(position));
    }

private:
    bool other(const char * text) { return events_.other(text), true; }

    const std::string & path_;
    JsonEvents & events_;
};

class StringVisitor : public JsonEvents {
public:
    StringVisitor(const std::string & path, const JsonStringVisitor & visit) : path_(path), visit_(visit) {}

    void begin_object() override { open(); }
    void end_object() override { close(); }
    void begin_array() override {
        open();
        arrays_++;
    }
    void end_array() override {
        close();
        arrays_--;
    }
    void key(std::string & text) override { keys_.back() = std::move(text); }
    void string(std::string & text) override {
        if (arrays_ == 0 && !keys_.empty()) visit_(keys_, text);
    }
    void unsigned_integer(uint64_t) override {}
    void other(const char *) override {}

private:
    void open() {
        if (keys_.size() == 8) throw corrupt_file(path_, "the JSON is nested more than 8 deep");
        keys_.emplace_back();
    }
    void close() { keys_.pop_back(); }

    const std::string & path_;
    const JsonStringVisitor & visit_;
    std::vector<std::string> keys_;
    int arrays_ = 0;
};

// Keeps the top-level values of one object.
class ValueReader : public JsonEvents {
public:
    void begin_object() override { open(false); }
    void end_object() override { depth_--; }
    void begin_array() override { open(true); }
    void end_array() override { depth_--; }
    void key(std::string & text) override {
        if (depth_ == 1) key_ = std::move(text);
    }
    void string(std::string & text) override { add(std::move(text)); }
    void unsigned_integer(uint64_t value) override { number(static_cast<double>(value), ""); }
    void number(double value, const char *) override {
        auto * list = depth_ == 2 ? std::get_if<std::vector<double>>(&values[key_]) : nullptr;
        if (list)
            list->push_back(value);
        else
            add(value);
    }
    void boolean(bool value) override { add(value); }
    void other(const char *) override { // null
        if (depth_ > 1) invalidate();
    }

    JsonValues values;

private:
    void open(bool array) {
        depth_++;
        if (depth_ == 2 && array)
            values[key_] = std::vector<double>();
        else if (depth_ > 1)
            invalidate();
    }
    void add(JsonValue value) {
        if (depth_ == 1)
            values[key_] = std::move(value);
        else
            invalidate();
    }
    // The top-level value contains something other than a number.
    void invalidate() { values[key_] = std::monostate(); }

    int64_t depth_ = 0;
    std::string key_;
};

// Replaces each number that JSON does not have with an empty object.
std::string without_python_numbers(std::string_view text) {
    std::string json(text);
    bool quoted = false;
    for (size_t i = 0; i < json.size(); i++) {
        if (json[i] == '"') quoted = !quoted;
        if (quoted && json[i] == '\\') i++;
        if (quoted) continue;
        for (const std::string_view word : {"NaN", "-Infinity", "Infinity"}) {
            if (json.compare(i, word.size(), word) == 0)
                json.replace(i, word.size(), "{}" + std::string(word.size() - 2, ' '));
        }
    }
    return json;
}

} // namespace

void parse_json(std::string_view text, const std::string & path, JsonEvents & events) {
    Adapter adapter(path, events);
    nlohmann::json::sax_parse(text.begin(), text.end(), &adapter);
}

void visit_json_strings(std::string_view text, const std::string & path, const JsonStringVisitor & visit) {
    // The maximum size of a safetensors header. The parser keeps full strings in memory.
    if (text.size() > 100'000'000) throw unsupported_file(path, "is JSON of more than 100000000 bytes, not a model");
    StringVisitor visitor(path, visit);
    parse_json(text, path, visitor);
}

JsonValues read_json_values(std::string_view text, const std::string & path) {
    if (text.size() > 10'000'000)
        throw unsupported_file(path, "is JSON of more than 10000000 bytes, not a configuration");
    ValueReader reader;
    parse_json(without_python_numbers(text), path, reader);
    return std::move(reader.values);
}

std::string write_json_values(const JsonValues & values) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto & [key, value] : values) {
        // Nothing that read_json_values() would read as a value.
        if (std::holds_alternative<std::monostate>(value)) object[key] = nlohmann::json::object();
        if (const auto * text = std::get_if<std::string>(&value)) object[key] = *text;
        if (const auto * number = std::get_if<double>(&value)) object[key] = *number;
        if (const auto * flag = std::get_if<bool>(&value)) object[key] = *flag;
        if (const auto * list = std::get_if<std::vector<double>>(&value)) object[key] = *list;
    }
    return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace diffusion
