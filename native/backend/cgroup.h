// The memory and processors that Linux control groups (cgroups v1 and v2) leave this process: the limits of containers,
// services and batch systems.
#pragma once

#include <cstddef>
#include <string>

namespace diffusion {

// The limits of all groups above the process's own apply too, so the lowest one counts. `root` is used in place of "/".

// Bytes that are still available; SIZE_MAX if no group has a limit. The page cache, including mapped models, counts as
// free: the kernel reclaims it before it refuses memory, and otherwise a container that has read many files would seem
// full.
size_t cgroup_memory(const std::string & root = "");

// The CPU quota in processors, such as 1.5; infinite if no group has a quota.
double cgroup_cores(const std::string & root = "");

} // namespace diffusion
