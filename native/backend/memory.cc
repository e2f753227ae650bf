// See memory.h.
#include "backend/memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>

#ifdef _WIN32
#include <windows.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace diffusion {

namespace {

std::optional<size_t> number_in(const std::string & path) {
    std::ifstream file(path);
    size_t value = 0;
    if (file >> value) return value;
    return std::nullopt;
}

#ifdef __linux__
size_t host_memory() {
    size_t available = SIZE_MAX;
    std::ifstream meminfo("/proc/meminfo");
    for (std::string line; std::getline(meminfo, line);) {
        size_t kib = 0;
        if (std::sscanf(line.c_str(), "MemAvailable: %zu kB", &kib) == 1) available = kib * 1024;
    }
    return std::min(available, cgroup_memory("/sys/fs/cgroup"));
}
#elif defined(_WIN32)
size_t host_memory() {
    MEMORYSTATUSEX status{};
    status.dwLength = sizeof(status);
    return GlobalMemoryStatusEx(&status) ? static_cast<size_t>(status.ullAvailPhys) : SIZE_MAX;
}
#else
// macOS compresses and swaps instead of refusing; what is "free" there says little about what can be had.
size_t host_memory() {
    return SIZE_MAX;
}
#endif

std::string megabytes(size_t bytes) {
    return std::to_string((bytes + 999'999) / 1'000'000) + " MB";
}

} // namespace

size_t cgroup_memory(const std::string & folder) {
    const auto limit = number_in(folder + "/memory.max"); // it says "max" where there is none
    const auto current = number_in(folder + "/memory.current");
    if (!limit || !current) return SIZE_MAX;
    size_t cached = 0;
    std::ifstream stat(folder + "/memory.stat");
    std::string key;
    for (size_t value = 0; stat >> key >> value;) {
        if (key == "active_file" || key == "inactive_file") cached += value;
    }
    const size_t used = *current - std::min(cached, *current);
    return *limit - std::min(used, *limit);
}

size_t available_memory(ggml_backend_t backend) {
    const ggml_backend_dev_t device = ggml_backend_get_device(backend);
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) return host_memory();
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    return total > 0 ? free : SIZE_MAX;
}

void require_memory(size_t bytes, ggml_backend_t backend, const std::string & purpose) {
    if (bytes > available_memory(backend)) throw out_of_memory(bytes, backend, purpose);
}

void return_freed_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

Error out_of_memory(size_t bytes, ggml_backend_t backend, const std::string & purpose) {
    const size_t available = available_memory(backend);
    const ggml_backend_dev_t device = ggml_backend_get_device(backend);
    std::string message =
        "Expected " + megabytes(bytes) + " of memory for " + purpose + " on " + ggml_backend_dev_name(device);
    if (available != SIZE_MAX) message += ", but only " + megabytes(available) + " are available";
    return {ErrorCode::out_of_memory, message + ". Use a smaller picture, a smaller batch or a quantized model."};
}

} // namespace diffusion
