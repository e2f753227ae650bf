// Keeps a process alive whose mapped file was cut short by another program: reading what is gone gives zeros, and is told of.
#pragma once

#include <cstddef>

namespace diffusion {

// Guards one mapping while it lives. On POSIX systems, reading a page of a mapping that its file no longer has raises SIGBUS. A handler for
// the whole process, set with the first guard, puts zeros in place of the pages of guarded mappings from there on and leaves a mark; any
// other SIGBUS goes to whoever handled the signal before. On Windows there is nothing to guard against: a file that is open for reading
// alone cannot be cut or written to.
class MappingGuard {
public:
    MappingGuard(const void * data, size_t bytes);
    ~MappingGuard();
    MappingGuard(const MappingGuard &) = delete;
    MappingGuard & operator=(const MappingGuard &) = delete;

    // A part of the mapping could not be read; zeros were read instead.
    bool damaged() const;

private:
    void * entry_ = nullptr;
};

} // namespace diffusion
