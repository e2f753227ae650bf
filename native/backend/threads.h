// Starting threads, and what it means where that fails.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

namespace diffusion {

// Throws std::bad_alloc where a thread's stack finds no memory, and Error (device) where the system grants no more
// threads.
[[noreturn]] void refuse_thread();

// Throws as refuse_thread() does.
template <typename Run> std::thread start_thread(Run run) {
    try {
        return std::thread(std::move(run));
    } catch (const std::system_error &) {
        refuse_thread();
    }
}

} // namespace diffusion
