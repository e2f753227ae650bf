// A regular file mapped read-only into memory for the lifetime of the object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "io/file_stamp.h"
#include "io/mapping_guard.h"

namespace diffusion {

// A UTF-8 path in the operating system's form. Throws Error (file) for an empty path or one with a NUL inside.
std::filesystem::path native_path(const std::string & path);

// The file is not copied, and another program may write to it while it is mapped (not on Windows, where a file opened
// for reading only prevents that). Data read from it is only valid once check_unchanged() was called after reading. If
// another file is renamed over it, those who have it open keep the old one. Belongs to one thread at a time.
class MappedFile {
public:
    // `path` is UTF-8. Throws Error (file) if it is missing, unreadable, empty, a directory, a pipe or a device, and
    // (out_of_memory) if it does not fit into memory.
    static std::shared_ptr<const MappedFile> open(const std::string & path);
    ~MappedFile();
    MappedFile(const MappedFile &) = delete;
    MappedFile & operator=(const MappedFile &) = delete;

    const std::string & path() const { return path_; }
    const uint8_t * data() const { return data_; }
    size_t size() const { return size_; } // at least 1

    // Throws Error (file) if the file was written to or truncated since it was opened, judging by its size, times and
    // place, and if a part of it could not be read.
    void check_unchanged() const;

private:
    explicit MappedFile(const std::string & path) : path_(path) {}
    void map();

    std::string path_;
    const uint8_t * data_ = nullptr;
    size_t size_ = 0;
    std::optional<MappingGuard> guard_;
    mutable FileStamp stamp_; // at opening
#ifdef _WIN32
    void * file_ = nullptr; // HANDLE; null while closed
#else
    int file_ = -1;
#endif
};

} // namespace diffusion
