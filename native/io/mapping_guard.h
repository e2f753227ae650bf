// Keeps a process alive if its mapped file is truncated by another program: reading the missing part gives zeros and is
// reported.
#pragma once

#include <cstddef>

namespace diffusion {

// Guards one mapping during its lifetime. On POSIX systems, reading a page of a mapping that its file no longer has
// raises SIGBUS. A process-wide handler, installed with the first guard, maps zeros over the pages of guarded mappings
// from there on and sets a flag; any other SIGBUS goes to the previous handler. On Windows there is nothing to guard
// against: a file opened for reading only cannot be truncated or written to.
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
