// What the control groups of Linux, of both versions, leave this process: the limits of containers, services and batch
// systems.
#pragma once

#include <cstddef>
#include <string>

namespace diffusion {

// Limits hold for all groups around the one that the process is in, so the least of them counts. `root` is a folder to
// be taken for "/".

// Bytes that may still be taken; SIZE_MAX where no group has a limit. Pages of files, mapped models among them, count
// as free: the system drops them before it refuses memory, and without that a container that has read much would seem
// full for ever.
size_t cgroup_memory(const std::string & root = "");

// Processors whose time may be used, such as 1.5; infinite where no group has a quota.
double cgroup_cores(const std::string & root = "");

} // namespace diffusion
