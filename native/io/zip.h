// Reader of zip archives: where the entries of a mapped file lie. Nothing is unpacked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cancellation.h"
#include "io/mapped_file.h"

namespace diffusion {

struct ZipEntry {
    std::string_view name; // in the mapping, as `data` is
    const uint8_t * data = nullptr;
    size_t size = 0;    // in the archive
    bool plain = false; // neither compressed nor encrypted: `data` is the content itself
    uint64_t begin = 0; // of its local header, from the beginning of the file
};

// The entries that the central directory lists, zip64 included (APPNOTE.TXT, 4.3 and 4.5.3). Every entry is checked to
// lie before the directory and to share no byte with another, and no name may come twice; checksums are not verified.
class ZipArchive {
public:
    // `file` must outlive the archive. Throws Error (model_corrupt, model_unsupported, cancelled).
    ZipArchive(const MappedFile & file, const Cancellation & cancellation);

    const std::vector<ZipEntry> & entries() const { return entries_; } // in the order of the directory
    // nullptr where there is none.
    const ZipEntry * find(std::string_view name) const;

private:
    std::vector<ZipEntry> entries_;
    std::unordered_map<std::string_view, size_t> index_;
};

} // namespace diffusion
