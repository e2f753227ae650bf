// See output_file.h.
#include "convert/output_file.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "io/file_error.h"
#include "io/mapped_file.h"

namespace diffusion {

namespace {

std::FILE * open_to_write(const std::string & path) {
#ifdef _WIN32
    return _wfopen(native_path(path).c_str(), L"wb");
#else
    return std::fopen(native_path(path).c_str(), "wbe");
#endif
}

} // namespace

OutputFile::OutputFile(const std::string & path, std::string name)
    : name_(std::move(name)), file_(open_to_write(path)) {
    if (!file_) fail();
}

void OutputFile::write(const void * data, size_t bytes) {
    if (bytes > 0 && std::fwrite(data, 1, bytes, file_.get()) != bytes) fail();
    size_ += bytes;
}

void OutputFile::pad(size_t alignment) {
    constexpr char zeros[64] = {};
    for (size_t rest = (alignment - size_ % alignment) % alignment; rest > 0;) {
        const size_t n = std::min(rest, sizeof zeros);
        write(zeros, n);
        rest -= n;
    }
}

void OutputFile::close() {
    // This writes buffered data, so the disk may turn out to be full.
    if (std::fclose(file_.release()) != 0) fail();
}

void OutputFile::fail() const {
    const int code = errno;
    throw Error(ErrorCode::write, "Cannot write " + quote(name_) + ": " + std::generic_category().message(code));
}

} // namespace diffusion
