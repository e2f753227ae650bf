// The words for what is wrong with a file, so that every reader complains alike and names the file.
#pragma once

#include <string>
#include <string_view>

#include "error.h"

namespace diffusion {

// Text from a file, fit for a message: in single quotes, at most 100 bytes, control and non-UTF-8 bytes as \xNN.
std::string quote(std::string_view text);

bool is_utf8(std::string_view text);

// Each gives "'path': reason" with the code it is named for. The reason ends without a full stop.
Error unreadable_file(const std::string & path, const std::string & reason);
Error corrupt_file(const std::string & path, const std::string & reason);
Error unsupported_file(const std::string & path, const std::string & reason);
Error incomplete_file(const std::string & path, const std::string & reason);

} // namespace diffusion
