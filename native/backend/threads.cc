// See threads.h.
#include "backend/threads.h"

#include <cstdlib>
#include <new>

#include "error.h"

namespace diffusion {

namespace {

// The system says only that it has no resources. A stack takes 8 MiB of addresses nearly everywhere.
bool has_memory_for_stack() {
    constexpr size_t stack = size_t{16} << 20;
    void * volatile memory = std::malloc(stack); // volatile, or the compiler takes it for granted
    std::free(memory);
    return memory != nullptr;
}

} // namespace

void refuse_thread() {
    if (!has_memory_for_stack()) throw std::bad_alloc();
    throw Error(ErrorCode::device,
                "The system grants this process no further thread. End other work, or raise the limit.");
}

} // namespace diffusion
