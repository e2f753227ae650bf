// How much memory a device has left, asked before it is taken: an allocation that the system cannot back would end the
// process later, without an error.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <string>

#include "ggml-backend.h"

#include "error.h"

namespace diffusion {

// Bytes of addresses that this process may still take under its limit (RLIMIT_AS, `ulimit -v`), less what its
// JavaScript is to find there; SIZE_MAX where it has no limit.
size_t address_space();

// Bytes that can still be had on the backend's device; SIZE_MAX where that is not known.
size_t available_memory(ggml_backend_t backend);

// Throws Error (out_of_memory) when `bytes` exceed what is available. `purpose` reads as in "memory for <purpose>".
void require_memory(size_t bytes, ggml_backend_t backend, const std::string & purpose);

// Memory that is filled once and read often, or large: in huge pages where the system has them. Not initialised.
class LargeMemory {
public:
    LargeMemory() {}
    // Throws std::bad_alloc.
    explicit LargeMemory(size_t bytes);
    // Aligned to a cache line.
    char * data() const { return data_.get(); }

private:
    struct Free {
        size_t alignment = 0;
        void operator()(char * data) const;
    };
    std::unique_ptr<char, Free> data_{nullptr, Free{}};
};

// Asks for huge pages for memory that was not touched yet.
void prefer_huge_pages(void * data, size_t bytes);

// Tells the system that a part of a mapped file is not read again soon; the process then no longer holds its pages.
void release_mapped(const void * data, size_t bytes);

// Hands memory that was freed back to the system. The C library keeps it otherwise, in pieces that the next image of
// another size may not fit.
void return_freed_memory();

Error out_of_memory(size_t bytes, ggml_backend_t backend, const std::string & purpose);

// `made` by ggml, or std::bad_alloc where it is null because there was no memory.
template <typename T> T * require_made(T * made) {
    if (!made) throw std::bad_alloc();
    return made;
}

} // namespace diffusion
