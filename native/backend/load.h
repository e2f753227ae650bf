// Makes ggml's backends available to this process.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "ggml-backend.h"

namespace diffusion {

// Loads the best variant of the CPU's backend in the folder of this binary. Does nothing in a build with backends linked
// in. Any thread, any number of calls; all return once loading is done. Call it before asking ggml for devices.
void load_backends();

// Held while ggml's list of devices is read or extended.
std::unique_lock<std::mutex> lock_devices();

// Loads the library of another backend, once, and returns the names of its devices. On trial each device is also opened
// and closed. A broken driver may end the process or never return, so a trial needs a process of its own. Throws Error
// (device): the library does not load, it has no device, or on trial one cannot be opened.
std::vector<std::string> load_backend(const std::string & path, bool trial);

// Name of a device as users write it: cuda0.
std::string public_name(ggml_backend_dev_t device);

} // namespace diffusion
