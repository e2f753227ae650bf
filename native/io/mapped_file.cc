// Read-only file mappings for POSIX and Windows.
#include "io/mapped_file.h"

#include <limits>

#include "io/file_error.h"

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#endif
#include <system_error>

namespace diffusion {

namespace {

constexpr const char * missing = "no such file; check the path";
constexpr const char * a_directory = "is a directory; give a model file, or the folder of a diffusers model";
constexpr const char * not_regular = "is not a regular file but a pipe, socket or device, which cannot be mapped";
constexpr const char * empty = "is empty; the download may have failed";
constexpr const char * changed = "changed its size while in use; reopen the model once the file is complete";

std::string system_message(int error) {
    return std::system_category().message(error);
}

} // namespace

std::filesystem::path native_path(const std::string & path) {
    if (path.empty()) throw Error(ErrorCode::file, "The path of a model file is empty.");
    if (path.find('\0') != std::string::npos) throw unreadable_file(path, "a path cannot contain a NUL character");
    return std::filesystem::path(std::u8string(path.begin(), path.end()));
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::string & path) {
    std::shared_ptr<MappedFile> file(new MappedFile(path)); // owns what map() has acquired when it throws
    file->map();
    return file;
}

#ifdef _WIN32

void MappedFile::map() {
    const std::filesystem::path native = native_path(path_);
    std::error_code ignored;
    if (std::filesystem::is_directory(native, ignored)) throw unreadable_file(path_, a_directory);
    const HANDLE file = CreateFileW(native.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING,
                                    FILE_ATTRIBUTE_NORMAL, nullptr);
    if (file == INVALID_HANDLE_VALUE) {
        const DWORD error = GetLastError();
        if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND) throw unreadable_file(path_, missing);
        throw unreadable_file(path_, "cannot be opened: " + system_message(static_cast<int>(error)));
    }
    file_ = file;
    if (GetFileType(file) != FILE_TYPE_DISK) throw unreadable_file(path_, not_regular);
    LARGE_INTEGER size;
    if (!GetFileSizeEx(file, &size)) {
        throw unreadable_file(path_, "has no readable size: " + system_message(static_cast<int>(GetLastError())));
    }
    if (size.QuadPart == 0) throw unreadable_file(path_, empty);
    if (static_cast<uint64_t>(size.QuadPart) > std::numeric_limits<size_t>::max()) {
        throw unreadable_file(path_, "is larger than the address space");
    }
    const HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    const void * data = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0) : nullptr;
    const DWORD error = GetLastError();
    if (mapping) CloseHandle(mapping); // the view keeps it alive
    if (!data) throw unreadable_file(path_, "cannot be mapped: " + system_message(static_cast<int>(error)));
    data_ = static_cast<const uint8_t *>(data);
    size_ = static_cast<size_t>(size.QuadPart);
}

MappedFile::~MappedFile() {
    if (data_) UnmapViewOfFile(data_);
    if (file_) CloseHandle(file_);
}

void MappedFile::check_unchanged() const {
    LARGE_INTEGER size;
    if (!GetFileSizeEx(file_, &size) || static_cast<uint64_t>(size.QuadPart) != size_) {
        throw unreadable_file(path_, changed);
    }
}

#else

void MappedFile::map() {
    // O_NONBLOCK: opening a pipe without a writer would otherwise wait for one. It means nothing to a regular file.
    file_ = ::open(native_path(path_).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file_ < 0) {
        if (errno == ENOENT || errno == ENOTDIR) throw unreadable_file(path_, missing);
        if (errno == ENXIO) throw unreadable_file(path_, not_regular); // a socket
        throw unreadable_file(path_, "cannot be opened: " + system_message(errno));
    }
    struct stat status;
    if (fstat(file_, &status) != 0) {
        throw unreadable_file(path_, "has no readable size: " + system_message(errno));
    }
    if (S_ISDIR(status.st_mode)) throw unreadable_file(path_, a_directory);
    if (!S_ISREG(status.st_mode)) throw unreadable_file(path_, not_regular);
    if (status.st_size == 0) throw unreadable_file(path_, empty);
    if (static_cast<uint64_t>(status.st_size) > std::numeric_limits<size_t>::max()) {
        throw unreadable_file(path_, "is larger than the address space");
    }
    const size_t size = static_cast<size_t>(status.st_size);
    void * data = mmap(nullptr, size, PROT_READ, MAP_SHARED, file_, 0);
    if (data == MAP_FAILED) throw unreadable_file(path_, "cannot be mapped: " + system_message(errno));
    data_ = static_cast<const uint8_t *>(data);
    size_ = size;
}

MappedFile::~MappedFile() {
    if (data_) munmap(const_cast<uint8_t *>(data_), size_);
    if (file_ >= 0) close(file_);
}

void MappedFile::check_unchanged() const {
    struct stat status;
    if (fstat(file_, &status) != 0 || static_cast<uint64_t>(status.st_size) != size_) {
        throw unreadable_file(path_, changed);
    }
}

#endif

} // namespace diffusion
