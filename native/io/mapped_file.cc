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
constexpr const char * a_directory = "is a directory; pass a model file, or the folder of a diffusers model";
constexpr const char * remedy = "; pass the path of a model file";
constexpr const char * empty = "is empty; the download may have failed";

// What happened to a file in use.
Error changed(const std::string & path, const char * how) {
    return unreadable_file(path, std::string(how) + " while in use; load the model again once the file is complete");
}

std::string system_message(int error) {
    return std::system_category().message(error);
}

Error no_addresses(const std::string & path, size_t bytes) {
    return {ErrorCode::out_of_memory,
            path + ": expected memory to map its " + std::to_string(bytes) +
                " bytes, but the process has too little address space left. Raise its limit (ulimit -v), or use a "
                "smaller model."};
}

} // namespace

std::filesystem::path native_path(const std::string & path) {
    if (path.empty()) throw Error(ErrorCode::file, "The path of a model file is empty.");
    if (path.find('\0') != std::string::npos) throw unreadable_file(path, "a path cannot contain a NUL character");
    return std::filesystem::path(std::u8string(path.begin(), path.end()));
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::string & path) {
    std::shared_ptr<MappedFile> file(new MappedFile(path)); // owns what map() has acquired if it throws
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
    if (GetFileType(file) != FILE_TYPE_DISK) {
        throw unreadable_file(path_, std::string("is not a regular file but a pipe or a device") + remedy);
    }
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
    const auto bytes = static_cast<size_t>(size.QuadPart);
    if (!data && error == ERROR_NOT_ENOUGH_MEMORY) throw no_addresses(path_, bytes);
    if (!data) throw unreadable_file(path_, "cannot be mapped: " + system_message(static_cast<int>(error)));
    data_ = static_cast<const uint8_t *>(data);
    size_ = bytes;
}

MappedFile::~MappedFile() {
    guard_.reset();
    if (data_) UnmapViewOfFile(data_);
    if (file_) CloseHandle(file_);
}

void MappedFile::check_unchanged() const {
    LARGE_INTEGER size;
    // Nobody may write to it.
    if (!GetFileSizeEx(file_, &size) || static_cast<uint64_t>(size.QuadPart) != size_) {
        throw changed(path_, "changed its size");
    }
}

FileStamp stamp_of(const std::string & path) {
    FileStamp stamp;
    WIN32_FILE_ATTRIBUTE_DATA found;
    if (!GetFileAttributesExW(native_path(path).c_str(), GetFileExInfoStandard, &found)) return stamp;
    const auto joined = [](uint64_t high, uint64_t low) { return high << 32 | low; };
    stamp.size = joined(found.nFileSizeHigh, found.nFileSizeLow);
    stamp.written =
        static_cast<int64_t>(100 * joined(found.ftLastWriteTime.dwHighDateTime, found.ftLastWriteTime.dwLowDateTime));
    return stamp;
}

#else

namespace {

// Names anything that is not a regular file; nullptr for one that is.
const char * special_kind(mode_t mode) {
    if (S_ISREG(mode)) return nullptr;
    return S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
}

Error special_file(const std::string & path, const std::string & kind) {
    return unreadable_file(path, "is not a regular file but " + kind + remedy);
}

int64_t nanoseconds(const timespec & time) {
    return int64_t{1'000'000'000} * time.tv_sec + time.tv_nsec;
}

FileStamp stamp_from(const struct stat & status) {
    FileStamp stamp;
    stamp.device = status.st_dev;
    stamp.inode = status.st_ino;
    stamp.size = static_cast<uint64_t>(status.st_size);
#ifdef __APPLE__
    stamp.written = nanoseconds(status.st_mtimespec);
    stamp.changed = nanoseconds(status.st_ctimespec);
#else
    stamp.written = nanoseconds(status.st_mtim);
    stamp.changed = nanoseconds(status.st_ctim);
#endif
    stamp.links = status.st_nlink;
    stamp.mode = status.st_mode;
    stamp.owner = status.st_uid;
    stamp.group = status.st_gid;
    return stamp;
}

} // namespace

FileStamp stamp_of(const std::string & path) {
    struct stat status;
    return stat(native_path(path).c_str(), &status) == 0 ? stamp_from(status) : FileStamp();
}

void MappedFile::map() {
    // O_NONBLOCK: opening a pipe without a writer would otherwise wait for one. It has no effect on regular files.
    file_ = ::open(native_path(path_).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file_ < 0) {
        if (errno == ENOENT || errno == ENOTDIR) throw unreadable_file(path_, missing);
        if (errno == ENXIO) throw special_file(path_, "a socket");
        throw unreadable_file(path_, "cannot be opened: " + system_message(errno));
    }
    struct stat status;
    if (fstat(file_, &status) != 0) {
        throw unreadable_file(path_, "has no readable size: " + system_message(errno));
    }
    if (S_ISDIR(status.st_mode)) throw unreadable_file(path_, a_directory);
    if (const char * kind = special_kind(status.st_mode)) throw special_file(path_, kind);
    if (status.st_size == 0) throw unreadable_file(path_, empty);
    if (static_cast<uint64_t>(status.st_size) > std::numeric_limits<size_t>::max()) {
        throw unreadable_file(path_, "is larger than the address space");
    }
    const size_t size = static_cast<size_t>(status.st_size);
    void * data = mmap(nullptr, size, PROT_READ, MAP_SHARED, file_, 0);
    if (data == MAP_FAILED && errno == ENOMEM) throw no_addresses(path_, size);
    if (data == MAP_FAILED) throw unreadable_file(path_, "cannot be mapped: " + system_message(errno));
    data_ = static_cast<const uint8_t *>(data);
    size_ = size;
    guard_.emplace(data_, size_);
    stamp_ = stamp_from(status);
}

MappedFile::~MappedFile() {
    guard_.reset();
    if (data_) munmap(const_cast<uint8_t *>(data_), size_);
    if (file_ >= 0) close(file_);
}

void MappedFile::check_unchanged() const {
    struct stat status;
    if (fstat(file_, &status) != 0) throw changed(path_, "could not be examined");
    const FileStamp now = stamp_from(status);
    if (now.size != stamp_.size) throw changed(path_, "changed its size");
    if (guard_->damaged()) throw changed(path_, "was truncated, or could not be read,");
    if (now.written != stamp_.written) throw changed(path_, "was written to");
    if (now.changed == stamp_.changed) return;
    // The file was touched, but its size and modification time are unchanged. Contents may have been written and the
    // time set back, as programs that unpack or synchronize files do, unless another cause is evident.
    const FileStamp there = stamp_of(path_);
    const bool moved =
        there.device != now.device || there.inode != now.inode; // usually because another was put in its place
    FileStamp expected = stamp_;
    expected.changed = now.changed;
    if (!moved && now == expected) throw changed(path_, "was written to");
    stamp_ = now;
}

#endif

} // namespace diffusion
