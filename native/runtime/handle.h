// A caller's reference to LoRAs or a ControlNet that an engine has open.
#pragma once

#include <memory>

namespace diffusion {

struct HandleToken {};

// The object stays open while any copy of the handle exists, including those of queued calls. Copies may be released on
// any thread; the engine frees the object with its next call.
using Handle = std::shared_ptr<const HandleToken>;

inline Handle make_handle() {
    return std::make_shared<const HandleToken>();
}

} // namespace diffusion
