// Makes ggml's backends available to this process.
#pragma once

namespace diffusion {

// Loads the backend libraries in the folder of this binary: one per kind of device, and the best CPU variant for this
// machine. Does nothing in a build with backends linked in. Any thread, any number of calls; all return once loading is
// done. Call it before asking ggml for devices.
void load_backends();

} // namespace diffusion
