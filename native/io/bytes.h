// Little-endian numbers at any alignment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace diffusion {

template <typename T> T little_endian(const uint8_t * bytes) {
    using Unsigned = std::make_unsigned_t<T>;
    Unsigned value = 0;
    for (size_t i = 0; i < sizeof(T); i++) value = static_cast<Unsigned>(value | Unsigned(bytes[i]) << (8 * i));
    return static_cast<T>(value);
}

} // namespace diffusion
