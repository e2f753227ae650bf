// The tensor table: opens files by content, joins tables, finds tensors by name.
#include "io/tensor_table.h"

#include <algorithm>
#include <iterator>

#include "io/file_error.h"
#include "io/format.h"
#include "io/gguf.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"
#include "io/scales.h"
#include "io/shard_index.h"
#include "io/torch_file.h"

namespace diffusion {

namespace {

TensorTable read_format(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation);

// If a file changes while being read, its contents may be anything, so the change is reported instead of other errors.
TensorTable read(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation) {
    try {
        TensorTable table = read_format(file, cancellation);
        file->check_unchanged();
        return table;
    } catch (const Error &) {
        file->check_unchanged();
        throw;
    }
}

TensorTable read_format(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation) {
    switch (recognise_format(*file)) {
        case FileFormat::gguf: return read_gguf(std::move(file), cancellation);
        case FileFormat::safetensors: return read_safetensors(std::move(file), cancellation);
        case FileFormat::torch_zip: return read_torch_zip(std::move(file), cancellation);
        case FileFormat::torch_pickles: return read_torch_pickles(std::move(file), cancellation);
        case FileFormat::shard_index: break;
    }
    // An index may not refer to another index.
    const auto read_shard = [&](std::shared_ptr<const MappedFile> shard) {
        if (recognise_format(*shard) == FileFormat::shard_index) {
            throw corrupt_file(file->path(), "names the shard " + quote(shard->path()) + ", which is an index itself");
        }
        return read(std::move(shard), cancellation);
    };
    return read_shard_index(*file, read_shard, cancellation);
}

} // namespace

TensorTable TensorTable::open(const std::string & path, const Cancellation & cancellation) {
    cancellation.throw_if_cancelled();
    TensorTable table = read(MappedFile::open(path), cancellation);
    if (apply_scales(table.tensors_, path)) {
        table.check_unchanged();
        table.index_.clear();
        for (size_t i = 0; i < table.tensors_.size(); i++) table.index_.emplace(table.tensors_[i].name, i);
    }
    return table;
}

void TensorTable::check_unchanged() const {
    for (const StoredFile & file : files_) file.mapping->check_unchanged();
}

void TensorTable::merge(const TensorTable & other, const std::string & prefix) {
    const int first = static_cast<int>(files_.size());
    for (StoredFile file : other.files()) {
        file.n_tensors = 0; // add() counts
        add_file(std::move(file));
    }
    reserve(other.tensors().size());
    for (StoredTensor tensor : other.tensors()) {
        tensor.name = prefix + tensor.name;
        tensor.file += first;
        add(std::move(tensor));
    }
}

const StoredTensor * TensorTable::find(const std::string & name) const {
    const auto entry = index_.find(name);
    return entry == index_.end() ? nullptr : &tensors_[entry->second];
}

void TensorTable::convert(size_t i, const NumberType & type) {
    StoredTensor & tensor = tensors_[i];
    StoredTensor converted;
    converted.name = tensor.name;
    converted.type = &type;
    converted.n_dims = tensor.n_dims;
    std::copy(std::begin(tensor.ne), std::end(tensor.ne), converted.ne);
    converted.n_bytes = static_cast<size_t>(tensor.n_elements() / type.block) * type.block_bytes;
    converted.file = tensor.file;
    converted.source = std::make_shared<const StoredTensor>(std::move(tensor));
    tensor = std::move(converted);
}

void TensorTable::add_file(StoredFile file) {
    files_.push_back(std::move(file));
}

void TensorTable::reserve(size_t n_tensors) {
    tensors_.reserve(tensors_.size() + n_tensors);
    index_.reserve(index_.size() + n_tensors);
}

void TensorTable::add(StoredTensor tensor) {
    StoredFile & file = files_.at(static_cast<size_t>(tensor.file));
    const auto [entry, fresh] = index_.emplace(tensor.name, tensors_.size());
    if (!fresh) {
        const StoredFile & other = files_[static_cast<size_t>(tensors_[entry->second].file)];
        const bool same = other.path == file.path;
        throw corrupt_file(file.path, "has the tensor " + quote(tensor.name) +
                                          (same ? " twice" : ", which " + quote(other.path) + " has already"));
    }
    file.n_tensors++;
    tensors_.push_back(std::move(tensor));
}

} // namespace diffusion
