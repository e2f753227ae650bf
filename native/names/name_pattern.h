// Regular expressions for layer names, as in PEFT's configurations. They come from files, so matching takes time
// proportional to the lengths of both, whatever they are.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace diffusion {

// Python's syntax: characters, `.`, `\` before one, `\d`, `\w`, sets in brackets, groups, `|`, `*`, `+`, `?`, `^` and
// `$`.
class NamePattern {
public:
    // Nothing for other syntax or more than 1000 characters.
    static std::optional<NamePattern> parse(std::string_view text);

    // Whether the pattern matches the name, or a part of it after a dot.
    bool matches(std::string_view name) const;

private:
    friend class PatternParser;
    // A step of a nondeterministic automaton: reads a character of `set`, or continues without one to `next` and, for a
    // branch, to `other`.
    struct Step {
        enum Kind : uint8_t { read, branch, begin, end, done } kind = done;
        size_t next = 0, other = 0;
        std::vector<bool> set; // of 256 characters
    };
    void follow(size_t step, bool at_begin, bool at_end, std::vector<bool> & reached) const;

    std::vector<Step> steps_;
    size_t start_ = 0;
};

} // namespace diffusion
