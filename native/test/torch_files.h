// Creates pickles, zip archives and PyTorch checkpoints in memory for the native tests; the caller may make any piece
// invalid.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "check.h"
#include "files.h"
#include "io/tensor_table.h"

namespace diffusion::test {

// --- Pickles: each function returns the opcodes that create its value

using Opcodes = std::string;

inline std::string pickle(const Opcodes & value) {
    return "\x80\x02" + value + ".";
}

inline Opcodes text_value(std::string_view text) {
    return std::string("X") + little_endian_bytes(static_cast<uint32_t>(text.size())) + std::string(text);
}

inline Opcodes number_value(int64_t value) {
    return "\x8a\x08" + little_endian_bytes(value);
}

inline Opcodes tuple_value(const std::vector<Opcodes> & items) {
    Opcodes result = "(";
    for (const Opcodes & item : items) result += item;
    return result + "t";
}

inline Opcodes tuple_of_numbers(const std::vector<int64_t> & numbers) {
    std::vector<Opcodes> items;
    for (const int64_t number : numbers) items.push_back(number_value(number));
    return tuple_value(items);
}

// From key, value, key, value, ...
inline Opcodes dict_value(const std::vector<Opcodes> & items) {
    Opcodes result = "}(";
    for (const Opcodes & item : items) result += item;
    return result + "u";
}

inline Opcodes class_value(const std::string & module, const std::string & name) {
    return "c" + module + "\n" + name + "\n";
}

inline Opcodes call_value(const std::string & module, const std::string & name,
                          const std::vector<Opcodes> & arguments) {
    return class_value(module, name) + tuple_value(arguments) + "R";
}

inline Opcodes storage_value(const std::string & type, const std::string & key, int64_t count) {
    return tuple_value({text_value("storage"), class_value("torch", type), text_value(key), text_value("cpu"),
                        number_value(count)}) +
           "Q";
}

inline Opcodes tensor_value(const Opcodes & storage, int64_t offset, const std::vector<int64_t> & shape,
                            const std::vector<int64_t> & strides) {
    return call_value("torch._utils", "_rebuild_tensor_v2",
                      {storage, number_value(offset), tuple_of_numbers(shape), tuple_of_numbers(strides), "\x89",
                       call_value("collections", "OrderedDict", {})});
}

// A float16 vector with its own storage.
inline Opcodes vector_value(const std::string & key, int64_t count) {
    return tensor_value(storage_value("HalfStorage", key, count), 0, {count}, {1});
}

// --- Zip archives

struct ZipPiece {
    std::string name, content;
    uint16_t method = 0, flags = 0;
    int64_t moved = 0;   // added to the true offset in the directory
    int64_t larger = 0;  // added to the true size in the directory
    int64_t unequal = 0; // added to one of the two sizes
};

struct Zip {
    std::vector<ZipPiece> pieces;
    bool zip64 = false;
    std::string comment;
    int64_t more_entries = 0, directory_moved = 0; // added to the true values
    uint16_t disk = 0;

    Zip & add(const std::string & name, const std::string & content) {
        pieces.push_back({name, content});
        return *this;
    }

    std::string file() const {
        std::string bytes, directory;
        for (const ZipPiece & piece : pieces) {
            const uint64_t offset = bytes.size() + static_cast<uint64_t>(piece.moved);
            const uint64_t size = piece.content.size() + static_cast<uint64_t>(piece.larger);
            bytes += local_header(piece) + piece.content;
            directory += directory_entry(piece, offset, size);
        }
        const uint64_t count = pieces.size() + static_cast<uint64_t>(more_entries);
        const uint64_t offset = bytes.size() + static_cast<uint64_t>(directory_moved);
        const std::string end64 = zip64 ? end_record64(count, directory.size(), offset, bytes.size()) : "";
        return bytes + directory + end64 + end_record(count, directory.size(), offset);
    }

private:
    template <typename T> static std::string number(uint64_t value) {
        return little_endian_bytes(static_cast<T>(value));
    }

    static std::string local_header(const ZipPiece & piece) {
        const uint64_t size = piece.content.size();
        return std::string("PK\x03\x04", 4) + number<uint16_t>(45) + number<uint16_t>(piece.flags) +
               number<uint16_t>(piece.method) + number<uint64_t>(0) + number<uint32_t>(size) + number<uint32_t>(size) +
               number<uint16_t>(piece.name.size()) + number<uint16_t>(6) + piece.name + std::string("FB\x02\0zz", 6);
    }

    std::string directory_entry(const ZipPiece & piece, uint64_t offset, uint64_t size) const {
        const uint64_t stored = size + static_cast<uint64_t>(piece.unequal), in_extra = 0xFFFFFFFF;
        const std::string extra = !zip64 ? ""
                                         : std::string("FB\x02\0zz\x01\0\x18\0", 10) + number<uint64_t>(size) +
                                               number<uint64_t>(stored) + number<uint64_t>(offset);
        return std::string("PK\x01\x02", 4) + number<uint16_t>(45) + number<uint16_t>(45) +
               number<uint16_t>(piece.flags) + number<uint16_t>(piece.method) + number<uint64_t>(0) +
               number<uint32_t>(zip64 ? in_extra : stored) + number<uint32_t>(zip64 ? in_extra : size) +
               number<uint16_t>(piece.name.size()) + number<uint16_t>(extra.size()) + std::string(10, '\0') +
               number<uint32_t>(zip64 ? in_extra : offset) + piece.name + extra;
    }

    std::string end_record64(uint64_t count, uint64_t size, uint64_t offset, uint64_t directory) const {
        return std::string("PK\x06\x06", 4) + number<uint64_t>(44) + number<uint32_t>(0) + number<uint32_t>(disk) +
               number<uint32_t>(0) + number<uint64_t>(count) + number<uint64_t>(count) + number<uint64_t>(size) +
               number<uint64_t>(offset) + std::string("PK\x06\x07", 4) + number<uint32_t>(0) +
               number<uint64_t>(directory + size) + number<uint32_t>(1);
    }

    std::string end_record(uint64_t count, uint64_t size, uint64_t offset) const {
        return std::string("PK\x05\x06", 4) + number<uint16_t>(disk) + number<uint16_t>(0) +
               number<uint16_t>(zip64 ? 0xFFFF : count) + number<uint16_t>(zip64 ? 0xFFFF : count) +
               number<uint32_t>(zip64 ? 0xFFFFFFFF : size) + number<uint32_t>(zip64 ? 0xFFFFFFFF : offset) +
               number<uint16_t>(comment.size()) + comment;
    }
};

// --- Checkpoints

using Storages = std::vector<std::pair<std::string, std::string>>; // keys and bytes

inline Zip torch_zip(const Opcodes & root, const Storages & storages = {}) {
    Zip zip;
    zip.add("archive/data.pkl", pickle(root)).add("archive/byteorder", "little");
    for (const auto & [key, bytes] : storages) zip.add("archive/data/" + key, bytes);
    return zip;
}

// `data`: the bytes of one storage, with elements of two bytes.
inline std::string torch_pickles(const Opcodes & root, const Opcodes & keys, const std::string & data) {
    std::string file = pickle(std::string("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")) +
                       pickle(number_value(1001)) + pickle(dict_value({text_value("little_endian"), "\x88"})) +
                       pickle(root) + pickle(keys);
    if (!data.empty()) file += little_endian_bytes<uint64_t>(data.size() / 2) + data;
    return file;
}

// --- Refusals

struct HostileFile {
    const char * name;
    std::string bytes;
    ErrorCode code;
    const char * words;
};

inline void refuses(const TemporaryFolder & folder, const std::vector<HostileFile> & files) {
    for (const HostileFile & file : files) {
        const std::string path = folder.write("hostile.ckpt", file.bytes);
        check_throws(file.name, file.code, file.words, [&] { TensorTable::open(path, {}); });
    }
}

} // namespace diffusion::test
