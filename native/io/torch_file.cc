// The two containers of torch.save around the pickle of the tensors.
#include "io/torch_file.h"

#include <optional>
#include <unordered_map>

#include "io/bytes.h"
#include "io/file_error.h"
#include "io/pickle.h"
#include "io/pickle_tensors.h"
#include "io/zip.h"

namespace diffusion {

namespace {

// 0x1950a86a20f9469cfc6c, the number that begins a file without zip.
constexpr std::string_view magic_number = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t protocol_version = 1001;

constexpr const char * big_endian =
    "was written on a big-endian machine, which is not supported; save it again on another";

TensorTable make_table(std::shared_ptr<const MappedFile> file, PickledTensors pickled) {
    TensorTable table;
    table.add_file({file->path(), "pytorch", file->size(), 0, file, std::move(pickled.metadata)});
    table.reserve(pickled.tensors.size());
    for (StoredTensor & tensor : pickled.tensors) table.add(std::move(tensor));
    return table;
}

std::string_view content(const MappedFile & file, const ZipEntry & entry) {
    if (!entry.plain) {
        throw unsupported_file(file.path(), "the zip entry " + quote(entry.name) +
                                                " is compressed or encrypted, which torch.save never does; unpack the "
                                                "archive and zip it without compression, or use a safetensors file");
    }
    return {reinterpret_cast<const char *>(entry.data), entry.size};
}

// The top folder in the archive, with the slash.
std::string archive_folder(const MappedFile & file, const ZipArchive & archive) {
    const std::string_view first = archive.entries().empty() ? "" : archive.entries()[0].name;
    const std::string folder(first.substr(0, first.find('/') + 1));
    if (archive.find(folder + "constants.pkl")) {
        throw unsupported_file(file.path(),
                               "is a TorchScript program, not a checkpoint; save the model's state_dict()");
    }
    if (!archive.find(folder + "data.pkl")) {
        throw unsupported_file(file.path(),
                               "is a zip archive, but not one of torch.save: it has no data.pkl; if a model "
                               "is inside, unpack it");
    }
    return folder;
}

// Reads consecutive pickles.
class PickleSequence {
public:
    PickleSequence(const MappedFile & file, const Cancellation & cancellation)
        : file_(file), cancellation_(cancellation) {}

    Pickle next() {
        const std::string_view rest(reinterpret_cast<const char *>(file_.data()) + at_, file_.size() - at_);
        Pickle pickle = read_pickle(rest, file_.path(), cancellation_);
        at_ += pickle.n_bytes;
        return pickle;
    }

    size_t position() const { return at_; }

private:
    const MappedFile & file_;
    const Cancellation & cancellation_;
    size_t at_ = 0;
};

void check_head(const std::string & path, PickleSequence & pickles) {
    const Pickle magic = pickles.next();
    if (magic.at(magic.root).text != magic_number) {
        throw unsupported_file(path,
                               "is a Python pickle, but not one of torch.save: expected its magic number, found " +
                                   describe(magic.at(magic.root)));
    }
    const Pickle version = pickles.next();
    if (version.at(version.root).integer != protocol_version) {
        throw unsupported_file(path, "expected version 1001 of the format of torch.save, found " +
                                         describe(version.at(version.root)));
    }
    const Pickle system = pickles.next();
    const PickleValue * little_endian = system.find(system.at(system.root), "little_endian");
    if (little_endian && !little_endian->integer) throw unsupported_file(path, big_endian);
}

// The locations of storages in a file without zip. Their types, and so their sizes, are only known from the references.
class StorageSequence {
public:
    StorageSequence(const MappedFile & file, const Pickle & pickle) : file_(file) {
        for (const PickleValue & value : pickle.values) {
            if (value.kind != PickleKind::persistent) continue;
            const StorageReference storage = read_storage_reference(pickle, value, file.path());
            places_.emplace(storage.key, Place{storage, nullptr});
        }
    }

    // Walks through the storages, which begin at `at` in the order of `keys`.
    void locate(const Pickle & keys, size_t at) {
        const PickleValue & list = keys.at(keys.root);
        if (list.kind != PickleKind::list) throw corrupt("expected a list of storages, found " + describe(list));
        for (const uint32_t index : list.items) {
            const auto found = places_.find(keys.at(index).text);
            if (found == places_.end()) throw corrupt("has a storage that no tensor is in");
            Place & place = found->second;
            const size_t room = file_.size() - at;
            if (room < 8 || room - 8 < place.storage.n_bytes) {
                throw corrupt("storage " + quote(place.storage.key) + " of " + std::to_string(place.storage.n_bytes) +
                              " bytes is not within the file; the file is truncated");
            }
            const size_t element = place.storage.type->block_bytes;
            if (diffusion::little_endian<uint64_t>(file_.data() + at) != place.storage.n_bytes / element) {
                throw corrupt("storage " + quote(place.storage.key) + " has two different sizes");
            }
            place.data = file_.data() + at + 8;
            at += 8 + static_cast<size_t>(place.storage.n_bytes);
        }
    }

    const uint8_t * find(const StorageReference & storage) const {
        const auto found = places_.find(storage.key);
        if (found == places_.end() || !found->second.data) throw corrupt("lacks the storage " + quote(storage.key));
        if (storage.n_bytes > found->second.storage.n_bytes) {
            throw corrupt("storage " + quote(storage.key) + " has two different sizes");
        }
        return found->second.data;
    }

private:
    struct Place {
        StorageReference storage;
        const uint8_t * data;
    };

    Error corrupt(const std::string & reason) const { return corrupt_file(file_.path(), reason); }

    const MappedFile & file_;
    std::unordered_map<std::string_view, Place> places_;
};

} // namespace

TensorTable read_torch_zip(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation) {
    const ZipArchive archive(*file, cancellation);
    const std::string folder = archive_folder(*file, archive);
    const ZipEntry * byte_order = archive.find(folder + "byteorder");
    if (byte_order && content(*file, *byte_order) != "little") throw unsupported_file(file->path(), big_endian);
    const Pickle pickle = read_pickle(content(*file, *archive.find(folder + "data.pkl")), file->path(), cancellation);
    const auto find_storage = [&](const StorageReference & storage) {
        const ZipEntry * entry = archive.find(folder + "data/" + std::string(storage.key));
        if (!entry) throw corrupt_file(file->path(), "lacks the storage " + quote(storage.key));
        const std::string_view bytes = content(*file, *entry);
        if (storage.n_bytes > bytes.size()) {
            throw corrupt_file(file->path(), "storage " + quote(storage.key) + " should have " +
                                                 std::to_string(storage.n_bytes) + " bytes and has " +
                                                 std::to_string(bytes.size()));
        }
        return entry->data;
    };
    return make_table(file, collect_tensors(pickle, file->path(), find_storage, cancellation));
}

TensorTable read_torch_pickles(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation) {
    PickleSequence pickles(*file, cancellation);
    check_head(file->path(), pickles);
    const Pickle pickle = pickles.next();
    StorageSequence storages(*file, pickle);
    const Pickle keys = pickles.next();
    storages.locate(keys, pickles.position());
    const auto find_storage = [&](const StorageReference & storage) { return storages.find(storage); };
    return make_table(file, collect_tensors(pickle, file->path(), find_storage, cancellation));
}

} // namespace diffusion
