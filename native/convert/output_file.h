// A file that is written sequentially.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

namespace diffusion {

class OutputFile {
public:
    // `path` is UTF-8; an existing file is overwritten. `name` is used in messages. Throws Error (write).
    OutputFile(const std::string & path, std::string name);

    void write(const void * data, size_t bytes);
    // Writes zeros up to a multiple of `alignment`.
    void pad(size_t alignment);
    // Must be called last: flushes everything to the system.
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
