// Parses tensor names from the front.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace diffusion {

// Removes `prefix` from the front of `name`; false if it does not begin with it.
inline bool take(std::string_view & name, std::string_view prefix) {
    if (!name.starts_with(prefix)) return false;
    name.remove_prefix(prefix.size());
    return true;
}

// Consumes digits and the dot after them.
inline std::optional<int> take_index(std::string_view & name) {
    int index = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (error != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
    name.remove_prefix(static_cast<size_t>(end - name.data()) + 1);
    return index;
}

} // namespace diffusion
