// How much memory a device has left. It is checked before allocating, because the system may grant memory that it
// cannot back and kill the process later.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <string>

#include "ggml-backend.h"

#include "error.h"

namespace diffusion {

// Address space left under the process's limit (RLIMIT_AS, `ulimit -v`), minus a reserve for JavaScript; SIZE_MAX if
// there is no limit.
size_t address_space();

// Bytes available on a device; SIZE_MAX if unknown.
size_t available_memory(ggml_backend_dev_t device);
size_t available_memory(ggml_backend_t backend);

// Throws Error (out_of_memory) if fewer than `bytes` are available. `purpose` is used as in "memory for <purpose>".
void require_memory(size_t bytes, ggml_backend_t backend, const std::string & purpose);

// Uninitialized memory for large buffers that are read often, in huge pages if the system has them.
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

// Asks for huge pages for memory that was not accessed yet.
void prefer_huge_pages(void * data, size_t bytes);

// Releases the pages of a mapped file that will not be read again soon.
void release_mapped(const void * data, size_t bytes);

// Returns freed memory to the system. Otherwise the C library keeps it, in pieces that may be of no use for an image of
// another size.
void return_freed_memory();

Error out_of_memory(size_t bytes, ggml_backend_t backend, const std::string & purpose);

// Returns `made`, an object from ggml, or throws std::bad_alloc if it is null.
template <typename T> T * require_made(T * made) {
    if (!made) throw std::bad_alloc();
    return made;
}

} // namespace diffusion
