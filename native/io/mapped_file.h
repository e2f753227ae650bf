// A regular file mapped read-only into memory for as long as the object lives.
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

// A UTF-8 path as the operating system wants it. Throws Error (file) for an empty path or one with a NUL inside.
std::filesystem::path native_path(const std::string & path);

// The file is not copied, and another program may write to it while it is mapped (not on Windows, where a file that is open for
// reading alone refuses that). What was read of it is to be trusted only once check_unchanged() was called after the reading. A file that
// another one was renamed over stays as it was for those who have it open. Belongs to one thread at a time.
class MappedFile {
public:
    // `path` is UTF-8. Throws Error (file) where it is missing, unreadable, empty, a directory, a pipe or a device, and
    // (out_of_memory) where it has no room in memory.
    static std::shared_ptr<const MappedFile> open(const std::string & path);
    ~MappedFile();
    MappedFile(const MappedFile &) = delete;
    MappedFile & operator=(const MappedFile &) = delete;

    const std::string & path() const { return path_; }
    const uint8_t * data() const { return data_; }
    size_t size() const { return size_; } // at least 1

    // Throws Error (file) where the file was written to or cut short since it was opened, by whatever its size, times and place
    // tell, and where a part of it could not be read.
    void check_unchanged() const;

private:
    explicit MappedFile(const std::string & path) : path_(path) {}
    void map();

    std::string path_;
    const uint8_t * data_ = nullptr;
    size_t size_ = 0;
    std::optional<MappingGuard> guard_;
    mutable FileStamp stamp_; // of the opening
#ifdef _WIN32
    void * file_ = nullptr; // HANDLE; null while closed
#else
    int file_ = -1;
#endif
};

} // namespace diffusion
