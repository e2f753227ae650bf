// The central directory of a zip archive, read from the end of the file.
#include "io/zip.h"

#include <algorithm>
#include <optional>

#include "io/bytes.h"
#include "io/file_error.h"

namespace diffusion {

namespace {

// Signatures, and sizes of fixed-size records.
constexpr uint32_t local_signature = 0x04034b50;
constexpr uint32_t entry_signature = 0x02014b50;
constexpr uint32_t end_signature = 0x06054b50;
constexpr uint32_t end64_signature = 0x06064b50;
constexpr uint32_t locator64_signature = 0x07064b50;
constexpr size_t local_size = 30, entry_size = 46, end_size = 22, end64_size = 56, locator64_size = 20;

// Marks, in 16 or 32 bits, a number that is in the zip64 record.
constexpr uint32_t in_zip64_32 = 0xFFFFFFFF;

struct Directory {
    uint64_t offset = 0, size = 0, n_entries = 0;
};

class DirectoryReader {
public:
    explicit DirectoryReader(const MappedFile & file) : file_(file) {}

    Directory find_directory() const {
        const auto end = find_end();
        if (!end) throw corrupt("has no zip directory at its end; the file is truncated, download it again");
        Directory directory;
        directory.n_entries = number<uint16_t>(*end + 10);
        directory.size = number<uint32_t>(*end + 12);
        directory.offset = number<uint32_t>(*end + 16);
        uint64_t disk = number<uint16_t>(*end + 4), limit = *end;
        if (*end >= locator64_size && number<uint32_t>(*end - locator64_size) == locator64_signature) {
            limit = number<uint64_t>(*end - locator64_size + 8);
            if (limit > *end - locator64_size || *end - locator64_size - limit < end64_size ||
                number<uint32_t>(limit) != end64_signature) {
                throw corrupt("has a zip64 locator that points at no zip64 directory");
            }
            disk = number<uint32_t>(limit + 16);
            directory.n_entries = number<uint64_t>(limit + 32);
            directory.size = number<uint64_t>(limit + 40);
            directory.offset = number<uint64_t>(limit + 48);
        }
        if (disk != 0)
            throw unsupported_file(file_.path(), "is one volume of a zip archive in several; join them first");
        if (directory.offset > limit || directory.size > limit - directory.offset) {
            throw corrupt("has a zip directory that is not within the file");
        }
        return directory;
    }

    // The entry at `at`, which is advanced to the next one.
    ZipEntry entry(uint64_t & at, const Directory & directory) const {
        const uint64_t end = directory.offset + directory.size;
        if (end - at < entry_size || number<uint32_t>(at) != entry_signature) throw damaged_directory();
        const uint64_t name_size = number<uint16_t>(at + 28), extra_size = number<uint16_t>(at + 30);
        const uint64_t total = entry_size + name_size + extra_size + number<uint16_t>(at + 32);
        if (end - at < total) throw damaged_directory();
        ZipEntry entry;
        entry.name = {reinterpret_cast<const char *>(file_.data() + at + entry_size), static_cast<size_t>(name_size)};
        uint64_t size = number<uint32_t>(at + 24), stored_size = number<uint32_t>(at + 20);
        entry.begin = number<uint32_t>(at + 42);
        read_zip64(at + entry_size + name_size, extra_size, {&size, &stored_size, &entry.begin});
        const bool encrypted = number<uint16_t>(at + 8) & 1;
        entry.plain = !encrypted && number<uint16_t>(at + 10) == 0;
        if (entry.plain && size != stored_size) {
            throw corrupt("has the zip entry " + quote(entry.name) + ", stored as it is, with two different sizes");
        }
        locate(entry, stored_size, directory.offset);
        at += total;
        return entry;
    }

    Error corrupt(const std::string & reason) const { return corrupt_file(file_.path(), reason); }

private:
    template <typename T> T number(uint64_t at) const { return little_endian<T>(file_.data() + at); }

    Error damaged_directory() const { return corrupt("has a damaged zip directory"); }

    // A comment of up to 64 KB may follow the end record.
    std::optional<uint64_t> find_end() const {
        const uint64_t size = file_.size();
        for (uint64_t comment = 0; comment <= 0xFFFF && comment + end_size <= size; comment++) {
            const uint64_t at = size - end_size - comment;
            if (number<uint32_t>(at) == end_signature && number<uint16_t>(at + 20) == comment) return at;
        }
        return std::nullopt;
    }

    // Replaces numbers marked so with those of the zip64 extra field, which has them in this order.
    void read_zip64(uint64_t at, uint64_t size, std::initializer_list<uint64_t *> numbers) const {
        const uint64_t end = at + size;
        while (end - at >= 4) {
            const uint64_t id = number<uint16_t>(at), length = number<uint16_t>(at + 2);
            at += 4;
            if (length > end - at) throw damaged_directory();
            if (id != 1) {
                at += length;
                continue;
            }
            uint64_t left = length;
            for (uint64_t * value : numbers) {
                if (*value != in_zip64_32) continue;
                if (left < 8) throw damaged_directory();
                *value = number<uint64_t>(at);
                at += 8;
                left -= 8;
            }
            return;
        }
    }

    // The local header repeats name and extra field with its own lengths; the data follows it.
    void locate(ZipEntry & entry, uint64_t size, uint64_t limit) const {
        const auto outside = [&] {
            return corrupt("has the zip entry " + quote(entry.name) + ", which is not within the file");
        };
        if (entry.begin > limit || limit - entry.begin < local_size) throw outside();
        if (number<uint32_t>(entry.begin) != local_signature) {
            throw corrupt("has the zip entry " + quote(entry.name) + ", where the file has none");
        }
        const uint64_t data =
            entry.begin + local_size + number<uint16_t>(entry.begin + 26) + number<uint16_t>(entry.begin + 28);
        if (data > limit || size > limit - data) throw outside();
        entry.data = file_.data() + data;
        entry.size = static_cast<size_t>(size);
    }

    const MappedFile & file_;
};

void check_no_overlap(const MappedFile & file, const std::vector<ZipEntry> & entries) {
    std::vector<const ZipEntry *> sorted;
    sorted.reserve(entries.size());
    for (const ZipEntry & entry : entries) sorted.push_back(&entry);
    std::sort(sorted.begin(), sorted.end(), [](auto * a, auto * b) { return a->begin < b->begin; });
    for (size_t i = 1; i < sorted.size(); i++) {
        const ZipEntry & before = *sorted[i - 1];
        if (before.data + before.size > file.data() + sorted[i]->begin) {
            throw corrupt_file(file.path(),
                               "the zip entries " + quote(before.name) + " and " + quote(sorted[i]->name) + " overlap");
        }
    }
}

} // namespace

ZipArchive::ZipArchive(const MappedFile & file, const Cancellation & cancellation) {
    const DirectoryReader reader(file);
    const Directory directory = reader.find_directory();
    if (directory.n_entries > directory.size / entry_size) {
        throw reader.corrupt("claims " + std::to_string(directory.n_entries) +
                             " zip entries, more than its directory can hold");
    }
    entries_.reserve(directory.n_entries);
    uint64_t at = directory.offset;
    for (uint64_t i = 0; i < directory.n_entries; i++) {
        if (i % 4096 == 0) cancellation.throw_if_cancelled();
        entries_.push_back(reader.entry(at, directory));
        const std::string_view name = entries_.back().name;
        if (!index_.emplace(name, i).second) throw reader.corrupt("has the zip entry " + quote(name) + " twice");
    }
    check_no_overlap(file, entries_);
}

const ZipEntry * ZipArchive::find(std::string_view name) const {
    const auto entry = index_.find(name);
    return entry == index_.end() ? nullptr : &entries_[entry->second];
}

} // namespace diffusion
