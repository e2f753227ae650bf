// See memory.h.
#include "backend/memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <new>
#include <utility>

#ifdef _WIN32
#include <windows.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/cgroup.h"
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace diffusion {

namespace {

constexpr size_t cache_line = 64, huge_page = size_t{2} << 20;

#ifdef __linux__
// The begin and end address of the pages that lie completely within a range of memory.
std::pair<uintptr_t, uintptr_t> full_pages(const void * data, size_t bytes, size_t page) {
    const auto begin = reinterpret_cast<uintptr_t>(data);
    return {(begin + page - 1) / page * page, (begin + bytes) / page * page};
}

size_t host_memory() {
    size_t available = SIZE_MAX;
    std::ifstream meminfo("/proc/meminfo");
    for (std::string line; std::getline(meminfo, line);) {
        size_t kib = 0;
        if (std::sscanf(line.c_str(), "MemAvailable: %zu kB", &kib) == 1) available = kib * 1024;
    }
    return std::min({available, cgroup_memory(), address_space()});
}
#elif defined(_WIN32)
size_t host_memory() {
    MEMORYSTATUSEX status{};
    status.dwLength = sizeof(status);
    return GlobalMemoryStatusEx(&status) ? static_cast<size_t>(status.ullAvailPhys) : SIZE_MAX;
}
#else
// macOS compresses and swaps instead of refusing memory, so its free memory says little about what is available.
size_t host_memory() {
    return SIZE_MAX;
}
#endif

std::string megabytes(size_t bytes) {
    return std::to_string((bytes + 999'999) / 1'000'000) + " MB";
}

} // namespace

size_t address_space() {
#ifdef __linux__
    // V8 aborts if it cannot grow by some tens of MB.
    constexpr size_t kept_for_javascript = size_t{48} << 20;
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    std::ifstream statm("/proc/self/statm");
    size_t pages = 0;
    if (!(statm >> pages)) return SIZE_MAX;
    const size_t taken = pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) + kept_for_javascript;
    return limit.rlim_cur - std::min<size_t>(taken, limit.rlim_cur);
#else
    return SIZE_MAX;
#endif
}

size_t available_memory(ggml_backend_dev_t device) {
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) return host_memory();
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    return total > 0 ? free : SIZE_MAX;
}

size_t available_memory(ggml_backend_t backend) {
    return available_memory(ggml_backend_get_device(backend));
}

void require_memory(size_t bytes, ggml_backend_t backend, const std::string & purpose) {
    if (bytes > available_memory(backend)) throw out_of_memory(bytes, backend, purpose);
}

LargeMemory::LargeMemory(size_t bytes) {
    const size_t alignment = bytes >= huge_page ? huge_page : cache_line;
    data_ = {static_cast<char *>(::operator new(bytes, std::align_val_t(alignment))), Free{alignment}};
    prefer_huge_pages(data_.get(), bytes);
}

void LargeMemory::Free::operator()(char * data) const {
    ::operator delete(data, std::align_val_t(alignment));
}

void prefer_huge_pages(void * data, size_t bytes) {
#ifdef __linux__
    const auto [begin, end] = full_pages(data, bytes, huge_page);
    if (begin < end) madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)data, (void)bytes;
#endif
}

void release_mapped(const void * data, size_t bytes) {
#ifdef __linux__
    const auto [begin, end] = full_pages(data, bytes, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
    if (begin < end) madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
#else
    (void)data, (void)bytes;
#endif
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
    return {ErrorCode::out_of_memory,
            message + ". Use a smaller image, a smaller batch or a quantized model, close other programs, or raise the "
                      "limit of the process or its container."};
}

} // namespace diffusion
