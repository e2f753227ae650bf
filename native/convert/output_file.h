// A file that is written from its beginning to its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

namespace diffusion {

class OutputFile {
public:
    // `path` is UTF-8, and what is there is written over; messages call it `name`. Throws Error (write).
    OutputFile(const std::string & path, std::string name);

    void write(const void * data, size_t bytes);
    // Zeros up to a multiple of `alignment`.
    void pad(size_t alignment);
    // Comes last: hands everything to the system.
    void close();

    uint64_t size() const { return size_; }

private:
    struct Close {
        void operator()(std::FILE * file) const { std::fclose(file); }
    };

    [[noreturn]] void fail() const;

    std::string name_;
    std::unique_ptr<std::FILE, Close> file_;
    uint64_t size_ = 0;
};

} // namespace diffusion
