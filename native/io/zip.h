// Reads zip archives: the locations of entries in a mapped file. Nothing is unpacked.
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
    std::string_view name; // in the mapping, like `data`
    const uint8_t * data = nullptr;
    size_t size = 0;    // in the archive
    bool plain = false; // neither compressed nor encrypted: `data` is the content itself
    uint64_t begin = 0; // of its local header, from the beginning of the file
};

// The entries listed in the central directory, including zip64 (APPNOTE.TXT, 4.3 and 4.5.3). Checks that every entry
// lies before the directory, shares no byte with another, and has a unique name; checksums are not verified.
class ZipArchive {
public:
    // `file` must outlive the archive. Throws Error (model_corrupt, model_unsupported, cancelled).
    ZipArchive(const MappedFile & file, const Cancellation & cancellation);

    const std::vector<ZipEntry> & entries() const { return entries_; } // in the order of the directory
    // nullptr if there is none.
    const ZipEntry * find(std::string_view name) const;

private:
    std::vector<ZipEntry> entries_;
    std::unordered_map<std::string_view, size_t> index_;
};

} // namespace diffusion
