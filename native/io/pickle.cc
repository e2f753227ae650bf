// The pickle machine without its power: a stack, a memo, and opcodes that only create values.
#include "io/pickle.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "io/bytes.h"
#include "io/file_error.h"

namespace diffusion {

namespace {

// References between values, and from the stack to them: each takes less memory than a value.
constexpr size_t most_references = 4 * most_pickle_values;
constexpr uint64_t newest_protocol = 5;

struct Opcode {
    char code;
    const char * name;
};

// Opcodes that exist but are not supported.
constexpr Opcode refused_opcodes[] = {
    {'2', "DUP"},     {'F', "FLOAT"},          {'I', "INT"},
    {'L', "LONG"},    {'P', "PERSID"},         {'S', "STRING"},
    {'V', "UNICODE"}, {'d', "DICT"},           {'g', "GET"},
    {'i', "INST"},    {'l', "LIST"},           {'o', "OBJ"},
    {'p', "PUT"},     {'\x82', "EXT1"},        {'\x83', "EXT2"},
    {'\x84', "EXT4"}, {'\x97', "NEXT_BUFFER"}, {'\x98', "READONLY_BUFFER"},
};

std::string class_name(const PickleClass & type) {
    return quote(std::string(type.module) + "." + std::string(type.name));
}

class Machine {
public:
    Machine(std::string_view bytes, const std::string & path, const Cancellation & cancellation)
        : bytes_(bytes), path_(path), cancellation_(cancellation) {}

    Pickle run() {
        if (take<uint8_t>() != 0x80) throw corrupt("does not begin with a protocol");
        const uint8_t protocol = take<uint8_t>();
        if (protocol < 2 || protocol > newest_protocol) {
            throw unsupported_file(path_, "holds a pickle of protocol " + std::to_string(protocol) +
                                              "; protocols 2 to 5 are supported, so save it again with torch.save");
        }
        for (size_t n = 0;; n++) {
            if (n % 65536 == 0) cancellation_.throw_if_cancelled();
            const char code = static_cast<char>(take<uint8_t>());
            if (code == '.') break;
            if (!scalar(code) && !text(code) && !container(code) && !memo(code) && !object(code)) throw refused(code);
        }
        pickle_.root = pop();
        pickle_.n_bytes = at_;
        return std::move(pickle_);
    }

private:
    Error corrupt(const std::string & reason) const {
        return corrupt_file(path_, "its pickle " + reason + " (at byte " + std::to_string(at_) + " of it)");
    }

    Error refused(char code) const {
        const auto * known = std::ranges::find(refused_opcodes, code, &Opcode::code);
        if (known == std::end(refused_opcodes)) {
            return corrupt("has the byte " + std::to_string(static_cast<uint8_t>(code)) + ", which is not an opcode");
        }
        return unsupported_file(path_, "its pickle has the opcode " + std::string(known->name) +
                                           ", which is not supported and which no checkpoint needs; use a safetensors "
                                           "file");
    }

    // --- Bytes

    std::string_view take_bytes(uint64_t count) {
        if (count > bytes_.size() - at_) throw corrupt("ends too early; the file is truncated or damaged");
        const std::string_view result = bytes_.substr(at_, static_cast<size_t>(count));
        at_ += static_cast<size_t>(count);
        return result;
    }

    template <typename T> T take() {
        return little_endian<T>(reinterpret_cast<const uint8_t *>(take_bytes(sizeof(T)).data()));
    }

    std::string_view take_line() {
        const size_t end = bytes_.find('\n', at_);
        if (end == std::string_view::npos) throw corrupt("has a line without an end");
        const std::string_view line = take_bytes(end - at_);
        at_++;
        return line;
    }

    // --- Stack and memo

    uint32_t make(PickleValue value) {
        if (pickle_.values.size() == most_pickle_values) {
            throw unsupported_file(path_, "its pickle has more than " + std::to_string(most_pickle_values) +
                                              " values, more than any checkpoint");
        }
        pickle_.values.push_back(std::move(value));
        return static_cast<uint32_t>(pickle_.values.size() - 1);
    }

    void count_references(size_t count) {
        n_references_ += count;
        if (n_references_ > most_references) {
            throw unsupported_file(path_, "its pickle refers to values more than " + std::to_string(most_references) +
                                              " times, more than any checkpoint");
        }
    }

    void push(uint32_t index) {
        count_references(1);
        stack_.push_back(index);
    }

    void push_new(PickleValue value) { push(make(std::move(value))); }
    void push_integer(int64_t value) { push_new({.kind = PickleKind::integer, .integer = value}); }
    void push_text(PickleKind kind, uint64_t size) { push_new({.kind = kind, .text = take_bytes(size)}); }

    uint32_t pop() {
        if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) throw corrupt("takes a value where there is none");
        const uint32_t index = stack_.back();
        stack_.pop_back();
        return index;
    }

    std::vector<uint32_t> pop_many(size_t count) {
        std::vector<uint32_t> items(count);
        for (size_t i = count; i > 0; i--) items[i - 1] = pop();
        return items;
    }

    std::vector<uint32_t> pop_to_mark() {
        if (marks_.empty()) throw corrupt("goes back to a mark that it never set");
        const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
        std::vector<uint32_t> items(begin, stack_.end());
        stack_.erase(begin, stack_.end());
        marks_.pop_back();
        return items;
    }

    uint32_t top() {
        const uint32_t index = pop();
        stack_.push_back(index);
        return index;
    }

    void remember(uint64_t index) {
        if (index >= most_pickle_values) throw corrupt("memorises a value under the number " + std::to_string(index));
        if (index >= memo_.size()) memo_.resize(static_cast<size_t>(index) + 1, no_value);
        memo_[static_cast<size_t>(index)] = top();
    }

    void recall(uint64_t index) {
        if (index >= memo_.size() || memo_[static_cast<size_t>(index)] == no_value) {
            throw corrupt("recalls a value that it never memorised");
        }
        push(memo_[static_cast<size_t>(index)]);
    }

    // --- Opcodes; each function returns whether the opcode was one of its own

    bool scalar(char code) {
        switch (code) {
            case 'N': push_new({.kind = PickleKind::none}); return true;
            case '\x88': push_new({.kind = PickleKind::boolean, .integer = 1}); return true;
            case '\x89': push_new({.kind = PickleKind::boolean, .integer = 0}); return true;
            case 'J': push_integer(take<int32_t>()); return true;
            case 'K': push_integer(take<uint8_t>()); return true;
            case 'M': push_integer(take<uint16_t>()); return true;
            case '\x8a': push_large_integer(take<uint8_t>()); return true;
            case '\x8b': push_large_integer(take<uint32_t>()); return true;
            case 'G': push_real(); return true;
            default: return false;
        }
    }

    // In two's complement, little-endian and as short as possible.
    void push_large_integer(uint64_t size) {
        const std::string_view bytes = take_bytes(size);
        if (size > 8) return push_new({.kind = PickleKind::large_integer, .text = bytes});
        const bool negative = !bytes.empty() && static_cast<int8_t>(bytes.back()) < 0;
        uint64_t value = negative ? ~uint64_t(0) : 0;
        for (const char byte : std::string(bytes.rbegin(), bytes.rend()))
            value = value << 8 | static_cast<uint8_t>(byte);
        push_integer(static_cast<int64_t>(value));
    }

    void push_real() { // big-endian, unlike everything else
        const std::string_view bytes = take_bytes(8);
        uint64_t bits = 0;
        for (const char byte : bytes) bits = bits << 8 | static_cast<uint8_t>(byte);
        push_new({.kind = PickleKind::real, .real = std::bit_cast<double>(bits)});
    }

    bool text(char code) {
        switch (code) {
            case 'X': push_text(PickleKind::text, take<uint32_t>()); return true;
            case '\x8c': push_text(PickleKind::text, take<uint8_t>()); return true;
            case '\x8d': push_text(PickleKind::text, take<uint64_t>()); return true;
            case 'T': push_text(PickleKind::text, take<uint32_t>()); return true;
            case 'U': push_text(PickleKind::text, take<uint8_t>()); return true;
            case 'B': push_text(PickleKind::bytes, take<uint32_t>()); return true;
            case 'C': push_text(PickleKind::bytes, take<uint8_t>()); return true;
            case '\x8e': push_text(PickleKind::bytes, take<uint64_t>()); return true;
            case '\x96': push_text(PickleKind::bytes, take<uint64_t>()); return true;
            default: return false;
        }
    }

    bool container(char code) {
        switch (code) {
            case '(':
                marks_.push_back(stack_.size());
                check_marks();
                return true;
            case '0': pop(); return true;
            case '1': pop_to_mark(); return true;
            case ']': push_new({.kind = PickleKind::list}); return true;
            case '\x8f': push_new({.kind = PickleKind::list}); return true;
            case '}': push_new({.kind = PickleKind::dict}); return true;
            case ')': push_new({.kind = PickleKind::tuple}); return true;
            case 't': push_items(PickleKind::tuple, pop_to_mark()); return true;
            case '\x91': push_items(PickleKind::list, pop_to_mark()); return true;
            case '\x85': push_items(PickleKind::tuple, pop_many(1)); return true;
            case '\x86': push_items(PickleKind::tuple, pop_many(2)); return true;
            case '\x87': push_items(PickleKind::tuple, pop_many(3)); return true;
            case 'a': append(PickleKind::list, pop_many(1)); return true;
            case 'e': append(PickleKind::list, pop_to_mark()); return true;
            case '\x90': append(PickleKind::list, pop_to_mark()); return true;
            case 's': append(PickleKind::dict, pop_many(2)); return true;
            case 'u': append(PickleKind::dict, pop_to_mark()); return true;
            default: return false;
        }
    }

    void check_marks() const {
        if (marks_.size() > most_pickle_values) throw corrupt("sets too many marks");
    }

    void push_items(PickleKind kind, std::vector<uint32_t> items) {
        push_new({.kind = kind, .items = std::move(items)});
    }

    void append(PickleKind kind, const std::vector<uint32_t> & items) {
        PickleValue & target = pickle_.values[top()];
        if (target.kind == PickleKind::object) return; // of a class with its own items: inert
        if (target.kind != kind) throw corrupt("adds items to " + describe(target));
        if (kind == PickleKind::dict && items.size() % 2 != 0) throw corrupt("adds a key without a value");
        target.items.insert(target.items.end(), items.begin(), items.end());
    }

    bool memo(char code) {
        switch (code) {
            case 'q': remember(take<uint8_t>()); return true;
            case 'r': remember(take<uint32_t>()); return true;
            case '\x94': remember(memo_.size()); return true;
            case 'h': recall(take<uint8_t>()); return true;
            case 'j': recall(take<uint32_t>()); return true;
            case '\x95': take<uint64_t>(); return true; // a frame only says how much to read at once
            default: return false;
        }
    }

    bool object(char code) {
        switch (code) {
            case 'c': global(); return true;
            case '\x93': stack_global(); return true;
            case 'R': call(); return true;
            case '\x81': call(); return true;
            case '\x92':
                pop();
                call();
                return true; // the keyword arguments of __new__
            case 'b': build(); return true;
            case 'Q': push_items(PickleKind::persistent, pop_many(1)); return true;
            default: return false;
        }
    }

    void global() {
        const std::string_view module = take_line();
        push_class(module, take_line());
    }

    void stack_global() {
        const PickleValue & name = pickle_.values[pop()];
        const PickleValue & module = pickle_.values[pop()];
        if (name.kind != PickleKind::text || module.kind != PickleKind::text) {
            throw corrupt("names a class by " + describe(module) + " and " + describe(name));
        }
        push_class(module.text, name.text);
    }

    void push_class(std::string_view module, std::string_view name) {
        const PickleClass * type = find_pickle_class(module, name);
        if (!type) {
            throw unsupported_file(path_, "expected only tensors and plain values in its pickle, found class " +
                                              quote(std::string(module) + "." + std::string(name)) +
                                              "; none of it was run. Use a safetensors file, or save only the "
                                              "state_dict()");
        }
        push_new({.kind = PickleKind::class_, .type = type});
    }

    // An opcode that would call a class creates a record of the call.
    void call() {
        const uint32_t arguments = pop();
        const PickleValue & callee = pickle_.values[pop()];
        if (callee.kind != PickleKind::class_) throw corrupt("calls " + describe(callee));
        if (pickle_.values[arguments].kind != PickleKind::tuple) {
            throw corrupt("calls " + class_name(*callee.type) + " with " + describe(pickle_.values[arguments]));
        }
        switch (callee.type->role) {
            case ClassRole::dict: return push_items(PickleKind::dict, pairs(pickle_.values[arguments]));
            case ClassRole::storage:
            case ClassRole::dtype: throw corrupt("calls " + class_name(*callee.type) + ", which is a type");
            default: break;
        }
        push_new({.kind = PickleKind::object, .type = callee.type, .items = {arguments, no_value}});
    }

    // The entries of a dictionary created from a list of pairs, as older Pythons write an OrderedDict.
    std::vector<uint32_t> pairs(const PickleValue & arguments) {
        std::vector<uint32_t> items;
        if (arguments.items.size() != 1) return items;
        const PickleValue & list = pickle_.values[arguments.items[0]];
        if (list.kind != PickleKind::list) return items; // the factory of a defaultdict
        for (const uint32_t index : list.items) {
            const PickleValue & pair = pickle_.values[index];
            if (pair.items.size() != 2) throw corrupt("makes a dictionary from " + describe(pair));
            count_references(2);
            items.insert(items.end(), pair.items.begin(), pair.items.end());
        }
        return items;
    }

    void build() {
        const uint32_t state = pop();
        PickleValue & target = pickle_.values[top()];
        if (target.kind == PickleKind::dict)
            return; // attributes in addition to its entries, such as torch's `_metadata`
        if (target.kind != PickleKind::object) throw corrupt("gives a state to " + describe(target));
        target.items[1] = state;
    }

    std::string_view bytes_;
    const std::string & path_;
    const Cancellation & cancellation_;
    size_t at_ = 0;
    Pickle pickle_;
    std::vector<uint32_t> stack_;
    std::vector<size_t> marks_; // heights of the stack
    std::vector<uint32_t> memo_;
    size_t n_references_ = 0;
};

} // namespace

const PickleValue * Pickle::find(const PickleValue & dict, std::string_view key) const {
    if (dict.kind != PickleKind::dict) return nullptr;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
        const PickleValue & candidate = at(dict.items[i]);
        if (candidate.kind == PickleKind::text && candidate.text == key) return &at(dict.items[i + 1]);
    }
    return nullptr;
}

Pickle read_pickle(std::string_view bytes, const std::string & path, const Cancellation & cancellation) {
    return Machine(bytes, path, cancellation).run();
}

std::string describe(const PickleValue & value) {
    switch (value.kind) {
        case PickleKind::none: return "None";
        case PickleKind::boolean: return "a boolean";
        case PickleKind::integer: return "the number " + std::to_string(value.integer);
        case PickleKind::large_integer: return "a number beyond 64 bits";
        case PickleKind::real: return "a fraction";
        case PickleKind::text: return "the string " + quote(value.text);
        case PickleKind::bytes: return "bytes";
        case PickleKind::list: return "a list";
        case PickleKind::tuple: return "a tuple";
        case PickleKind::dict: return "a dictionary";
        case PickleKind::class_: return "class " + class_name(*value.type);
        case PickleKind::object: return "an object of class " + class_name(*value.type);
        case PickleKind::persistent: return "a storage";
    }
    return "a value";
}

} // namespace diffusion
