// Checks for the native tests, which report the file and line of a failure.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "error.h"

namespace diffusion::test {

inline int n_passed = 0, n_failed = 0;

// The source location of a check. std::source_location needs clang 15 or newer.
struct Place {
    const char * file;
    unsigned line;
    static Place here(const char * file = __builtin_FILE(), unsigned line = __builtin_LINE()) { return {file, line}; }
};

inline bool check(bool passed, const std::string & what, const Place & place = Place::here()) {
    (passed ? n_passed : n_failed)++;
    if (!passed) std::fprintf(stderr, "%s:%u: failed: %s\n", place.file, place.line, what.c_str());
    return passed;
}

template <typename A, typename B>
bool check_equal(const A & actual, const B & expected, const std::string & what, const Place & place = Place::here()) {
    return check(actual == expected, what, place);
}

// Passes if `call` throws an Error with this code and `words` in its message.
inline void check_throws(const std::string & what, ErrorCode code, const std::string & words,
                         const std::function<void()> & call, const Place & place = Place::here()) {
    try {
        call();
        check(false, what + ": nothing was thrown", place);
    } catch (const Error & error) {
        const std::string message = error.what();
        check(error.code() == code && message.find(words) != std::string::npos,
              what + ": " + error_code_name(error.code()) + " " + message, place);
    } catch (const std::exception & error) {
        check(false, what + ": threw something else: " + error.what(), place);
    }
}

// The exit status of a test program.
inline int finish() {
    std::printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed == 0 && n_passed > 0 ? 0 : 1;
}

} // namespace diffusion::test
