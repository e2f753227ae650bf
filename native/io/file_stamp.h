// Tells whether a file is still the same.
#pragma once

#include <cstdint>
#include <string>

namespace diffusion {

struct FileStamp {
    uint64_t device = 0, inode = 0;
    uint64_t size = 0;
    // Nanoseconds since an epoch, at the file system's resolution.
    int64_t written = 0;                                // of its contents; anyone may set this
    int64_t changed = 0;                                // also of its name, owner, mode or links; 0 on Windows
    uint64_t links = 0, mode = 0, owner = 0, group = 0; // 0 on Windows

    bool operator==(const FileStamp &) const = default;
};

// The stamp of the file at a UTF-8 path; all zero if there is none.
FileStamp stamp_of(const std::string & path);

} // namespace diffusion
