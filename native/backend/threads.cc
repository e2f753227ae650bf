// See threads.h.
#include "backend/threads.h"

#include <cstddef>
#include <new>

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <sys/mman.h>
#endif

#include "error.h"

namespace diffusion {

namespace {

// The system's error does not tell memory from threads. A stack takes 8 MiB of address space nearly everywhere; mmap(),
// unlike malloc(), cannot take it from a pool that is already reserved.
bool has_memory_for_stack() {
    constexpr size_t stack = size_t{16} << 20;
#ifdef _WIN32
    void * const memory = VirtualAlloc(nullptr, stack, MEM_RESERVE, PAGE_NOACCESS);
    if (memory) VirtualFree(memory, 0, MEM_RELEASE);
    return memory != nullptr;
#else
    void * const memory = mmap(nullptr, stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) munmap(memory, stack);
    return memory != MAP_FAILED;
#endif
}

} // namespace

void refuse_thread() {
    if (!has_memory_for_stack()) throw std::bad_alloc();
    throw Error(ErrorCode::device,
                "The system grants this process no more threads. Close other programs, or raise the limit.");
}

} // namespace diffusion
