// What callers hold of something that an engine has open for them.
#pragma once

#include <memory>

namespace diffusion {

struct HandleToken {};

// It stays open as long as anyone holds it, also a call that waits; may be let go on any thread. The engine frees what nobody holds
// any more with its next call.
using Handle = std::shared_ptr<const HandleToken>;

inline Handle make_handle() {
    return std::make_shared<const HandleToken>();
}

} // namespace diffusion
