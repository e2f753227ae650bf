// Our JSON events on top of nlohmann's parser, which keeps its own stack and so needs no limit on nesting.
#include "io/json.h"

#include "nlohmann/json.hpp"

#include "io/file_error.h"

namespace diffusion {

namespace {

// The interface that nlohmann::json::sax_parse asks for; returning true means to go on.
class Adapter {
public:
    Adapter(const std::string & path, JsonEvents & events) : path_(path), events_(events) {}

    bool null() { return other("null"); }
    bool boolean(bool value) { return other(value ? "true" : "false"); }
    bool number_integer(int64_t) { return other("a negative number"); }
    bool number_float(double, const std::string &) { return other("a fraction or a number beyond 64 bits"); }
    bool binary(nlohmann::json::binary_t &) { return other("binary data"); }
    bool number_unsigned(uint64_t value) { return events_.unsigned_integer(value), true; }
    bool string(std::string & value) { return events_.string(value), true; }
    bool key(std::string & value) { return events_.key(value), true; }
    bool start_object(size_t) { return events_.begin_object(), true; }
    bool end_object() { return events_.end_object(), true; }
    bool start_array(size_t) { return events_.begin_array(), true; }
    bool end_array() { return events_.end_array(), true; }

    bool parse_error(size_t position, const std::string &, const nlohmann::json::exception &) {
        throw corrupt_file(path_, "the JSON text is malformed at byte " + std::to_string(position));
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
        if (keys_.size() == 8) throw corrupt_file(path_, "the JSON text is nested more than 8 deep");
        keys_.emplace_back();
    }
    void close() { keys_.pop_back(); }

    const std::string & path_;
    const JsonStringVisitor & visit_;
    std::vector<std::string> keys_;
    int arrays_ = 0;
};

} // namespace

void parse_json(std::string_view text, const std::string & path, JsonEvents & events) {
    Adapter adapter(path, events);
    nlohmann::json::sax_parse(text.begin(), text.end(), &adapter);
}

void visit_json_strings(std::string_view text, const std::string & path, const JsonStringVisitor & visit) {
    // As much as a safetensors header may have. The parser keeps whole strings in memory.
    if (text.size() > 100'000'000) throw unsupported_file(path, "is JSON of more than 100000000 bytes, not a model");
    StringVisitor visitor(path, visit);
    parse_json(text, path, visitor);
}

} // namespace diffusion
