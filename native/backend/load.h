// Makes ggml's backends available to this process.
#pragma once

namespace diffusion {

// Loads the backend libraries that lie beside this code: one for each kind of device, and of the CPU's the one that
// fits this machine best. Does nothing in a build that has its backends linked in. Any thread, any number of calls: the
// first does the work, and the others wait for it. Call it before asking ggml for devices.
void load_backends();

} // namespace diffusion
