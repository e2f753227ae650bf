// Creates model files in memory for the native tests, and a temporary folder for them.
#pragma once

#include <bit>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace diffusion::test {

class TemporaryFolder {
public:
    TemporaryFolder() {
        const auto name = "diffusion-test-" + std::to_string(std::random_device()());
        path_ = std::filesystem::temp_directory_path() / name;
        std::filesystem::create_directories(path_);
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder &) = delete;
    TemporaryFolder & operator=(const TemporaryFolder &) = delete;

    std::string path(const std::string & name) const { return (path_ / name).string(); }

    // Writes a file, creating its folders, and returns its path.
    std::string write(const std::string & name, const std::string & bytes) const {
        const std::filesystem::path file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::filesystem::remove(file); // overwriting makes some file systems wait for the disk
        std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        return file.string();
    }

private:
    std::filesystem::path path_;
};

template <typename T> std::string little_endian_bytes(T value) {
    std::string bytes;
    for (size_t i = 0; i < sizeof(T); i++) bytes += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xFF);
    return bytes;
}

// A safetensors file with any header, valid or not.
inline std::string safetensors(const std::string & header, size_t data_bytes) {
    return little_endian_bytes<uint64_t>(header.size()) + header + std::string(data_bytes, '\0');
}

// A valid file of float32 tensors, all of shape [2, 1].
inline std::string safetensors_of(const std::vector<std::string> & names, const std::string & metadata = "") {
    std::string header = "{" + (metadata.empty() ? "" : "\"__metadata__\":" + metadata + (names.empty() ? "" : ","));
    for (size_t i = 0; i < names.size(); i++) {
        header += (i ? ",\"" : "\"") + names[i] + "\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[" +
                  std::to_string(8 * i) + "," + std::to_string(8 * i + 8) + "]}";
    }
    return safetensors(header + "}", 8 * names.size());
}

// Composes GGUF files piece by piece; the caller may make any piece invalid.
struct Gguf {
    uint32_t version = 3;
    uint64_t n_tensors = 0, n_values = 0;
    std::string values, infos, data;
    size_t alignment = 32;

    static std::string text(const std::string & value) { return little_endian_bytes<uint64_t>(value.size()) + value; }

    Gguf & value(const std::string & key, uint32_t type, const std::string & bytes) {
        values += text(key) + little_endian_bytes(type) + bytes;
        n_values++;
        return *this;
    }
    Gguf & tensor(const std::string & name, const std::vector<uint64_t> & shape, uint32_t type, uint64_t offset) {
        infos += text(name) + little_endian_bytes(static_cast<uint32_t>(shape.size()));
        for (const uint64_t axis : shape) infos += little_endian_bytes(axis);
        infos += little_endian_bytes(type) + little_endian_bytes(offset);
        n_tensors++;
        return *this;
    }
    Gguf & bytes(size_t count) {
        data.assign(count, '\0');
        return *this;
    }
    std::string file() const {
        std::string head = "GGUF" + little_endian_bytes(version) + little_endian_bytes(n_tensors) +
                           little_endian_bytes(n_values) + values + infos;
        if (!data.empty()) head.append((alignment - head.size() % alignment) % alignment, '\0');
        return head + data;
    }
};

} // namespace diffusion::test
