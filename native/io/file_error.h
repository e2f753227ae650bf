// The wording of file errors, so that all readers report alike and name the file.
#pragma once

#include <string>
#include <string_view>

#include "error.h"

namespace diffusion {

// Text from a file, made safe for a message: in single quotes, at most 100 bytes, control and non-UTF-8 bytes as \xNN.
std::string quote(std::string_view text);

bool is_utf8(std::string_view text);

// Each creates "'path': reason" with the code that it is named after. The reason has no final period.
Error unreadable_file(const std::string & path, const std::string & reason);
Error corrupt_file(const std::string & path, const std::string & reason);
Error unsupported_file(const std::string & path, const std::string & reason);
Error incomplete_file(const std::string & path, const std::string & reason);

} // namespace diffusion
