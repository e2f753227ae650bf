// Starts threads, and reports failure to do so.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

namespace diffusion {

// Throws std::bad_alloc if there is no memory for a thread's stack, and otherwise Error (device): the system grants no
// more threads.
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
