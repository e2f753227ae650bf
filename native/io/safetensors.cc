// The safetensors header: eight bytes of length, JSON, then the data of all tensors.
#include "io/safetensors.h"

#include <algorithm>

#include "io/bytes.h"
#include "io/file_error.h"
#include "io/json.h"
#include "io/shape.h"

namespace diffusion {

namespace {

constexpr uint64_t max_header_bytes = 100'000'000;

constexpr std::string_view data_types[] = {
    "F32", "F16",  "BF16",    "F64",     "I8",      "I16",         "I32",         "I64",     "U8",      "U16", "U32",
    "U64", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F6_E2M3", "F6_E3M2", "F4",  "C64",
};

std::string lower_case(std::string text) {
    for (char & c : text) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return text;
}

// Turns the events of the header into tensors. The position in the header is one of a few fixed places.
class Header : public JsonEvents {
public:
    Header(const MappedFile & file, uint64_t data_begin, const Cancellation & cancellation)
        : path_(file.path()), data_(file.data() + data_begin), data_size_(file.size() - data_begin),
          cancellation_(cancellation) {}

    std::vector<StoredTensor> tensors;
    std::map<std::string, std::string> metadata;

    void begin_object() override {
        if (place_ == Place::start) {
            place_ = Place::top;
        } else if (place_ == Place::top) {
            place_ = name_ == "__metadata__" ? Place::metadata : Place::tensor;
            begin_entry();
        } else {
            throw unexpected("an object");
        }
    }

    void end_object() override {
        if (place_ == Place::tensor) finish_tensor();
        place_ = Place::top; // nothing follows at the end of the header
    }

    void begin_array() override {
        if (place_ != Place::tensor || (key_ != "shape" && key_ != "data_offsets")) throw unexpected("an array");
        place_ = key_ == "shape" ? Place::shape : Place::offsets;
    }

    void end_array() override { place_ = Place::tensor; }

    void key(std::string & text) override {
        if (place_ == Place::top) {
            name_ = std::move(text);
            return;
        }
        key_ = std::move(text);
        if (place_ == Place::tensor) note_field();
    }

    void string(std::string & text) override {
        if (place_ == Place::metadata) {
            if (!metadata.emplace(key_, std::move(text)).second) {
                throw corrupt_file(path_, "__metadata__ has the key " + quote(key_) + " twice");
            }
        } else if (place_ == Place::tensor && key_ == "dtype") {
            dtype_ = std::move(text);
        } else {
            throw unexpected("a string");
        }
    }

    void unsigned_integer(uint64_t value) override {
        if (place_ == Place::shape) {
            if (shape_.size() == 64) throw tensor_error("has more than 64 dimensions");
            shape_.push_back(value);
        } else if (place_ == Place::offsets) {
            offsets_.push_back(value);
            if (offsets_.size() > 2) throw tensor_error("has more than two data_offsets");
        } else {
            throw unexpected("a number");
        }
    }

    void other(const char * text) override { throw unexpected(text); }

private:
    enum class Place { start, top, metadata, tensor, shape, offsets };

    Error tensor_error(const std::string & reason) const {
        return corrupt_file(path_, "tensor " + quote(name_) + " " + reason);
    }

    Error unexpected(const std::string & what) const {
        if (place_ == Place::start) return corrupt_file(path_, "the header is not a JSON object");
        if (place_ == Place::top) return tensor_error("is described by " + what + " instead of an object");
        return tensor_error("has " + what + " in its " + quote(key_) + ", where the format allows none");
    }

    void begin_entry() {
        if (place_ == Place::metadata) {
            if (has_metadata_) throw corrupt_file(path_, "the header has two __metadata__ objects");
            has_metadata_ = true;
        } else if (name_.find('\0') != std::string::npos) {
            throw tensor_error("has a NUL character in its name");
        }
        fields_ = 0;
        shape_.clear();
        offsets_.clear();
    }

    void note_field() {
        const int field = key_ == "dtype" ? 1 : key_ == "shape" ? 2 : key_ == "data_offsets" ? 4 : 0;
        if (field == 0) throw tensor_error("has the field " + quote(key_) + ", which the format does not know");
        if (fields_ & field) throw tensor_error("has the field " + quote(key_) + " twice");
        fields_ |= field;
    }

    void finish_tensor() {
        if (tensors.size() % 4096 == 0) cancellation_.throw_if_cancelled();
        if (fields_ != 7) throw tensor_error("lacks one of dtype, shape and data_offsets");
        if (offsets_.size() != 2) throw tensor_error("needs two data_offsets");
        if (std::ranges::find(data_types, dtype_) == std::end(data_types)) {
            throw unsupported_file(path_, "tensor " + quote(name_) + " has the unknown dtype " + quote(dtype_));
        }
        StoredTensor tensor;
        tensor.type = find_number_type(lower_case(dtype_));
        tensor.n_bytes = checked_size(*tensor.type);
        tensor.data = data_ + offsets_[0];
        std::reverse(shape_.begin(), shape_.end());
        set_shape(tensor, shape_);
        tensor.name = std::move(name_);
        tensors.push_back(std::move(tensor));
    }

    size_t checked_size(const NumberType & type) const {
        const uint64_t begin = offsets_[0], end = offsets_[1];
        if (begin > end || end > data_size_) {
            throw tensor_error("has data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) +
                               "], which are not within the " + std::to_string(data_size_) +
                               " bytes of data; the file is truncated or damaged");
        }
        const auto count = count_elements(shape_);
        const auto block = static_cast<uint64_t>(type.block);
        const auto bytes = count ? checked_multiply(*count / block, type.block_bytes) : std::nullopt;
        if (!bytes || *count % block != 0 || *bytes != end - begin) {
            throw tensor_error("of type " + dtype_ + " and shape " + shape_text(shape_) + " does not match its " +
                               std::to_string(end - begin) + " bytes of data");
        }
        return static_cast<size_t>(end - begin);
    }

    const std::string & path_;
    const uint8_t * data_;
    uint64_t data_size_;
    const Cancellation & cancellation_;

    Place place_ = Place::start;
    bool has_metadata_ = false;
    std::string name_, key_, dtype_;
    int fields_ = 0;
    std::vector<uint64_t> shape_, offsets_;
};

// The format allows no byte of data outside tensors.
void check_no_gap(const MappedFile & file, const uint8_t * begin, const std::vector<StoredTensor> & tensors) {
    const uint64_t expected = static_cast<uint64_t>(file.data() + file.size() - begin);
    uint64_t used = 0;
    for (const StoredTensor & tensor : tensors) used += tensor.n_bytes;
    if (used != expected) {
        throw corrupt_file(file.path(), std::to_string(expected - used) + " of its " + std::to_string(expected) +
                                            " bytes of data belong to no tensor, which the format does not allow");
    }
}

} // namespace

TensorTable read_safetensors(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation) {
    const std::string & path = file->path();
    if (file->size() < 8) throw corrupt_file(path, "ends within the length of its safetensors header");
    const uint64_t length = little_endian<uint64_t>(file->data());
    if (length > max_header_bytes) {
        throw corrupt_file(path, "claims a safetensors header of " + std::to_string(length) +
                                     " bytes; the format allows 100000000");
    }
    if (length > file->size() - 8) {
        throw corrupt_file(path, "claims a safetensors header of " + std::to_string(length) + " bytes, but only " +
                                     std::to_string(file->size() - 8) + " follow; the file is truncated");
    }
    Header header(*file, 8 + length, cancellation);
    parse_json({reinterpret_cast<const char *>(file->data()) + 8, static_cast<size_t>(length)}, path, header);
    check_no_overlap(path, header.tensors);
    check_no_gap(*file, file->data() + 8 + length, header.tensors);
    TensorTable table;
    table.add_file({path, "safetensors", file->size(), 0, file, std::move(header.metadata)});
    table.reserve(header.tensors.size());
    for (StoredTensor & tensor : header.tensors) table.add(std::move(tensor));
    return table;
}

} // namespace diffusion
