// What tells whether a file is still the one that it was.
#pragma once

#include <cstdint>
#include <string>

namespace diffusion {

struct FileStamp {
    uint64_t device = 0, inode = 0;
    uint64_t size = 0;
    // Nanoseconds since an epoch, as fine as the file system has them.
    int64_t written = 0;                                // its contents; anyone may set this
    int64_t changed = 0;                                // also its name, owner, mode or links; 0 on Windows
    uint64_t links = 0, mode = 0, owner = 0, group = 0; // 0 on Windows

    bool operator==(const FileStamp &) const = default;
};

// Of the file that a UTF-8 path leads to; all zero where it leads to none.
FileStamp stamp_of(const std::string & path);

} // namespace diffusion
