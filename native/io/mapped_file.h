// A regular file mapped read-only into memory for as long as the object lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace diffusion {

// A UTF-8 path as the operating system wants it. Throws Error (file) for an empty path or one with a NUL inside.
std::filesystem::path native_path(const std::string & path);

// The file is not copied: if another program cuts it short while it is mapped, reading the lost part ends the process
// on POSIX systems (SIGBUS); Windows refuses to cut a mapped file. No lock prevents that everywhere, and a handler for
// the signal would belong to the whole process, which is not ours. What can be done is done: no write access is asked
// for, every offset is checked against the size at opening, and check_unchanged() notices a file that changed its size
// between its opening and a later use.
class MappedFile {
public:
    // `path` is UTF-8. Throws Error (file) where it is missing, unreadable, empty, a directory, a pipe or a device.
    static std::shared_ptr<const MappedFile> open(const std::string & path);
    ~MappedFile();
    MappedFile(const MappedFile &) = delete;
    MappedFile & operator=(const MappedFile &) = delete;

    const std::string & path() const { return path_; }
    const uint8_t * data() const { return data_; }
    size_t size() const { return size_; } // at least 1

    // Throws Error (file) where the file has not the size any more that it had when it was opened.
    void check_unchanged() const;

private:
    explicit MappedFile(const std::string & path) : path_(path) {}
    void map();

    std::string path_;
    const uint8_t * data_ = nullptr;
    size_t size_ = 0;
#ifdef _WIN32
    void * file_ = nullptr; // HANDLE; null while closed
#else
    int file_ = -1;
#endif
};

} // namespace diffusion
