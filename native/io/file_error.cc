// Messages about files: quoting of untrusted text and the error constructors of the readers.
#include "io/file_error.h"

#include <cstdint>

namespace diffusion {

namespace {

constexpr size_t quoted_limit = 100;

// Length of the UTF-8 sequence at the start of `text`, or 0 if it is invalid (overlong, surrogate, truncated, ...).
size_t utf8_length(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const auto tail = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
    const uint8_t first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        if (!tail(1) || !tail(2)) return 0;
        const bool overlong = first == 0xE0 && byte(1) < 0xA0;
        const bool surrogate = first == 0xED && byte(1) >= 0xA0;
        return overlong || surrogate ? 0 : 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        if (!tail(1) || !tail(2) || !tail(3)) return 0;
        const bool overlong = first == 0xF0 && byte(1) < 0x90;
        const bool too_large = first == 0xF4 && byte(1) >= 0x90;
        return overlong || too_large ? 0 : 4;
    }
    return 0;
}

Error file_error(ErrorCode code, const std::string & path, const std::string & reason) {
    return Error(code, quote(path) + ": " + reason + ".");
}

} // namespace

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const size_t length = utf8_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::string quote(std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    std::string result = "'";
    while (!text.empty()) {
        if (result.size() > quoted_limit) return result + "...'";
        const uint8_t first = static_cast<uint8_t>(text[0]);
        const size_t length = utf8_length(text);
        if (length == 0 || first < 0x20 || first == 0x7F) {
            result += {'\\', 'x', digits[first >> 4], digits[first & 15]};
            text.remove_prefix(1);
        } else {
            result += text.substr(0, length);
            text.remove_prefix(length);
        }
    }
    return result + "'";
}

Error unreadable_file(const std::string & path, const std::string & reason) {
    return file_error(ErrorCode::file, path, reason);
}

Error corrupt_file(const std::string & path, const std::string & reason) {
    return file_error(ErrorCode::model_corrupt, path, reason);
}

Error unsupported_file(const std::string & path, const std::string & reason) {
    return file_error(ErrorCode::model_unsupported, path, reason);
}

Error incomplete_file(const std::string & path, const std::string & reason) {
    return file_error(ErrorCode::model_incomplete, path, reason);
}

} // namespace diffusion
