// GGUF: magic, version, counts, key-value pairs, tensor infos, then aligned data.
#include "io/gguf.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdio>
#include <optional>

#include "io/bytes.h"
#include "io/file_error.h"
#include "io/format.h"
#include "io/shape.h"

namespace diffusion {

namespace {

constexpr uint64_t max_name_bytes = 65535;    // of keys, by the specification; also applied to tensor names
constexpr uint64_t max_value_bytes = 1 << 20; // of stored metadata strings
constexpr uint64_t max_listed_elements = 16;  // of metadata arrays that are written out
constexpr int max_array_depth = 4;
constexpr uint64_t max_tensors = 1'000'000;   // an info takes 24 bytes, which take no disk space in a sparse file
constexpr uint64_t max_kept_bytes = 64 << 20; // of all metadata; longer than any vocabulary that is written out
constexpr uint64_t default_alignment = 32;
constexpr std::string_view shape_key = "comfy.gguf.orig_shape.";

enum class ValueType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64, count };

// Size of a fixed-size value, or the minimum of a string (its length) or an array (type and length).
uint64_t least_bytes(ValueType type) {
    constexpr uint64_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
    return sizes[static_cast<uint32_t>(type)];
}

std::string float_text(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", value);
    return text;
}

class Reader {
public:
    Reader(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation)
        : file_(std::move(file)), path_(file_->path()), cancellation_(cancellation) {}

    TensorTable read() {
        read_all();
        TensorTable table;
        table.add_file({path_, "gguf", file_->size(), 0, file_, std::move(metadata_)});
        table.reserve(tensors_.size());
        for (StoredTensor & tensor : tensors_) table.add(std::move(tensor));
        return table;
    }

    GgufValues read_values(const std::string & prefix) {
        wanted_ = prefix;
        read_all();
        std::erase_if(metadata_, [&](const auto & entry) { return !entry.first.starts_with(prefix); });
        return {std::move(metadata_), std::move(arrays_)};
    }

private:
    void read_all() {
        read_counts();
        for (uint64_t i = 0; i < n_values_; i++) read_metadata();
        for (uint64_t i = 0; i < n_tensors_; i++) read_tensor();
        place_data();
        check_no_overlap(path_, tensors_);
    }

    uint64_t remaining() const { return file_->size() - position_; }

    Error corrupt(const std::string & reason) const { return corrupt_file(path_, reason); }

    const uint8_t * take(uint64_t bytes, const char * what) {
        if (bytes > remaining())
            throw corrupt(std::string("ends within ") + what + "; the file is truncated or damaged");
        const uint8_t * data = file_->data() + position_;
        position_ += static_cast<size_t>(bytes);
        return data;
    }

    template <typename T> T number(const char * what) { return little_endian<T>(take(sizeof(T), what)); }

    std::string_view string(const char * what) {
        const uint64_t length = number<uint64_t>(what);
        return {reinterpret_cast<const char *>(take(length, what)), static_cast<size_t>(length)};
    }

    std::string name(const char * what) {
        const std::string_view text = string(what);
        if (text.size() > max_name_bytes) throw corrupt(std::string("has ") + what + " of more than 65535 bytes");
        if (!is_utf8(text)) throw corrupt(std::string("has ") + what + " that is not UTF-8: " + quote(text));
        if (text.find('\0') != std::string_view::npos)
            throw corrupt(std::string("has ") + what + " with a NUL character");
        return std::string(text);
    }

    void read_counts() {
        take(4, "the magic");
        const uint32_t version = number<uint32_t>("the version");
        if (version != 0 && (version & 0xFFFF) == 0) {
            throw unsupported_file(path_, "is a big-endian GGUF file; convert it to little-endian");
        }
        if (version != 2 && version != 3) {
            throw unsupported_file(path_, "is GGUF version " + std::to_string(version) +
                                              "; versions 2 and 3 can be read, convert the file again");
        }
        n_tensors_ = number<uint64_t>("the header");
        n_values_ = number<uint64_t>("the header");
        // A tensor info takes at least 24 bytes, a key-value pair 13, so the file's size bounds the work.
        if (n_tensors_ > remaining() / 24 || n_values_ > remaining() / 13) {
            throw corrupt("claims " + std::to_string(n_tensors_) + " tensors and " + std::to_string(n_values_) +
                          " metadata values, more than its size can hold");
        }
        if (n_tensors_ > max_tensors) {
            throw unsupported_file(path_, "has " + std::to_string(n_tensors_) + " tensors, more than any model");
        }
    }

    ValueType value_type(const std::string & key) {
        const uint32_t type = number<uint32_t>("a metadata type");
        if (type >= static_cast<uint32_t>(ValueType::count)) {
            throw corrupt("metadata " + quote(key) + " has the unknown type " + std::to_string(type));
        }
        return static_cast<ValueType>(type);
    }

    void read_metadata() {
        std::string key = name("a metadata key");
        const ValueType type = value_type(key);
        if (key.starts_with(shape_key)) return read_original_shape(key, type);
        std::string text = value(key, type, 0);
        if (key == "general.alignment") set_alignment(type, text);
        const auto [entry, fresh] = metadata_.emplace(std::move(key), std::move(text));
        if (!fresh) throw corrupt("has the metadata key " + quote(entry->first) + " twice");
    }

    // https://github.com/city96/ComfyUI-GGUF: a tensor whose rows are not full blocks is stored in rows of 256, and
    // this is its shape, slowest dimension first.
    void read_original_shape(const std::string & key, ValueType type) {
        const auto wrong = [&](const std::string & what) {
            return corrupt("metadata " + quote(key) + " is " + what + "; expected 1 to 4 integers");
        };
        if (type != ValueType::array) throw wrong("not an array");
        const ValueType element = value_type(key);
        const uint64_t count = number<uint64_t>("a metadata array");
        if (count < 1 || count > GGML_MAX_DIMS) throw wrong("an array of " + std::to_string(count));
        constexpr ValueType others[] = {ValueType::f32, ValueType::f64, ValueType::boolean, ValueType::string,
                                        ValueType::array};
        if (std::ranges::find(others, element) != std::end(others)) throw wrong("an array of another type");
        std::vector<uint64_t> shape(count);
        for (auto axis = shape.rbegin(); axis != shape.rend(); axis++) {
            const std::string text = value(key, element, 1);
            const auto read = std::from_chars(text.data(), text.data() + text.size(), *axis);
            if (read.ec != std::errc() || *axis == 0) throw wrong("a shape with the size " + text);
        }
        if (!original_shapes_.emplace(key.substr(shape_key.size()), std::move(shape)).second) {
            throw corrupt("has the metadata key " + quote(key) + " twice");
        }
    }

    std::string value(const std::string & key, ValueType type, int depth) {
        constexpr const char * what = "a metadata value";
        switch (type) {
            case ValueType::u8: return std::to_string(number<uint8_t>(what));
            case ValueType::i8: return std::to_string(number<int8_t>(what));
            case ValueType::u16: return std::to_string(number<uint16_t>(what));
            case ValueType::i16: return std::to_string(number<int16_t>(what));
            case ValueType::u32: return std::to_string(number<uint32_t>(what));
            case ValueType::i32: return std::to_string(number<int32_t>(what));
            case ValueType::u64: return std::to_string(number<uint64_t>(what));
            case ValueType::i64: return std::to_string(number<int64_t>(what));
            case ValueType::f32: return float_text(std::bit_cast<float>(number<uint32_t>(what)));
            case ValueType::f64: return float_text(std::bit_cast<double>(number<uint64_t>(what)));
            case ValueType::boolean: return boolean(key);
            case ValueType::array: return array(key, depth);
            default: break;
        }
        const std::string_view text = string(what);
        const bool kept = text.size() <= max_value_bytes && text.size() <= max_kept_bytes - kept_bytes_;
        if (kept) kept_bytes_ += text.size();
        return !kept ? "a string of " + std::to_string(text.size()) + " bytes" : std::string(text);
    }

    std::string boolean(const std::string & key) {
        const uint8_t byte = number<uint8_t>("a metadata value");
        if (byte > 1) throw corrupt("metadata " + quote(key) + " is a boolean with the value " + std::to_string(byte));
        return byte ? "true" : "false";
    }

    std::string array(const std::string & key, int depth) {
        if (depth == max_array_depth) throw corrupt("metadata " + quote(key) + " nests arrays more than 4 deep");
        const ValueType type = value_type(key);
        const uint64_t count = number<uint64_t>("a metadata array");
        if (count > remaining() / least_bytes(type)) {
            throw corrupt("metadata " + quote(key) + " claims an array of " + std::to_string(count) +
                          " elements, more than the file holds");
        }
        if (depth == 0 && wanted_ && key.starts_with(*wanted_) && type != ValueType::array) {
            keep_array(key, type, count);
            return "an array of " + std::to_string(count);
        }
        const bool listed = count <= max_listed_elements;
        std::string text = "[";
        if (!listed && type != ValueType::string && type != ValueType::array) {
            take(count * least_bytes(type), "a metadata array");
        } else {
            for (uint64_t i = 0; i < count; i++) {
                if (i % 4096 == 0) cancellation_.throw_if_cancelled();
                const std::string element = value(key, type, depth + 1);
                if (listed) text += (i ? ", " : "") + element;
            }
        }
        return listed ? text + "]" : "an array of " + std::to_string(count);
    }

    void keep_array(const std::string & key, ValueType type, uint64_t count) {
        GgufArray & kept = arrays_[key];
        for (uint64_t i = 0; i < count; i++) {
            if (i % 4096 == 0) cancellation_.throw_if_cancelled();
            if (type == ValueType::string) {
                const std::string_view text = string("a metadata array");
                keep(key, text.size());
                kept.bytes += text;
                kept.ends.push_back(static_cast<uint32_t>(kept.bytes.size()));
            } else {
                keep(key, sizeof(double));
                kept.numbers.push_back(array_number(key, type));
            }
        }
    }

    void keep(const std::string & key, uint64_t bytes) {
        if (bytes > max_kept_bytes - array_bytes_) {
            throw unsupported_file(path_, "metadata " + quote(key) + " has more than 64 MiB, more than any vocabulary");
        }
        array_bytes_ += bytes;
    }

    double array_number(const std::string & key, ValueType type) {
        constexpr const char * what = "a metadata array";
        switch (type) {
            case ValueType::u8: return number<uint8_t>(what);
            case ValueType::i8: return number<int8_t>(what);
            case ValueType::u16: return number<uint16_t>(what);
            case ValueType::i16: return number<int16_t>(what);
            case ValueType::u32: return number<uint32_t>(what);
            case ValueType::i32: return number<int32_t>(what);
            case ValueType::u64: return static_cast<double>(number<uint64_t>(what));
            case ValueType::i64: return static_cast<double>(number<int64_t>(what));
            case ValueType::f32: return std::bit_cast<float>(number<uint32_t>(what));
            case ValueType::f64: return std::bit_cast<double>(number<uint64_t>(what));
            default: return boolean(key) == "true";
        }
    }

    void set_alignment(ValueType type, const std::string & text) {
        if (type != ValueType::u32) throw corrupt("general.alignment is not a 32-bit unsigned integer");
        alignment_ = std::stoull(text);
        if (!std::has_single_bit(alignment_))
            throw corrupt("general.alignment is " + text + ", which is not a power of two");
    }

    void read_tensor() {
        if (tensors_.size() % 4096 == 0) cancellation_.throw_if_cancelled();
        StoredTensor tensor;
        tensor.name = name("a tensor name");
        const uint32_t n_dims = number<uint32_t>("a tensor info");
        if (n_dims > GGML_MAX_DIMS) {
            throw corrupt("tensor " + quote(tensor.name) + " has " + std::to_string(n_dims) +
                          " dimensions; the format allows 4");
        }
        std::vector<uint64_t> shape(n_dims);
        for (uint64_t & axis : shape) axis = number<uint64_t>("a tensor info");
        tensor.type = &tensor_type(tensor.name);
        tensor.n_bytes = checked_size(tensor, shape);
        const auto original = original_shapes_.find(tensor.name);
        if (original != original_shapes_.end()) {
            if (count_elements(original->second) != count_elements(shape)) {
                throw corrupt("tensor " + quote(tensor.name) + " of shape " + shape_text(shape) +
                              " should have the shape " + shape_text(original->second) +
                              " by its metadata, which has another number of elements");
            }
            shape = original->second;
        }
        set_shape(tensor, shape);
        offsets_.push_back(number<uint64_t>("a tensor info"));
        tensors_.push_back(std::move(tensor));
    }

    const NumberType & tensor_type(const std::string & tensor) {
        const uint32_t id = number<uint32_t>("a tensor info");
        // Types that ggml has removed keep their ids, with a block size of 0.
        if (id >= GGML_TYPE_COUNT || ggml_blck_size(static_cast<ggml_type>(id)) == 0) {
            throw unsupported_file(path_, "tensor " + quote(tensor) + " has the type " + std::to_string(id) +
                                              ", which this version of ggml does not support; convert the file "
                                              "to another type");
        }
        return number_type(static_cast<ggml_type>(id));
    }

    size_t checked_size(const StoredTensor & tensor, const std::vector<uint64_t> & shape) const {
        const uint64_t block = static_cast<uint64_t>(tensor.type->block);
        const auto count = count_elements(shape);
        const uint64_t row = shape.empty() ? 1 : shape[0];
        if (!count || row % block != 0) {
            throw corrupt("tensor " + quote(tensor.name) + " of type " + std::string(tensor.type->name) +
                          " has the shape " + shape_text(shape) +
                          (count ? ", whose rows are not full blocks of " + std::to_string(block)
                                 : ", which is larger than any file"));
        }
        const auto bytes = checked_multiply(*count / block, tensor.type->block_bytes);
        if (!bytes || *bytes > file_->size()) {
            throw corrupt("tensor " + quote(tensor.name) + " of type " + std::string(tensor.type->name) +
                          " and shape " + shape_text(shape) + " is larger than the file");
        }
        return static_cast<size_t>(*bytes);
    }

    void place_data() {
        const uint64_t padding = (alignment_ - position_ % alignment_) % alignment_;
        const uint64_t size = padding > remaining() ? 0 : remaining() - padding;
        for (size_t i = 0; i < tensors_.size(); i++) {
            StoredTensor & tensor = tensors_[i];
            const uint64_t offset = offsets_[i];
            if (offset % alignment_ != 0) {
                throw corrupt("tensor " + quote(tensor.name) + " has the offset " + std::to_string(offset) +
                              ", which is not a multiple of the alignment " + std::to_string(alignment_));
            }
            if (offset > size || tensor.n_bytes > size - offset) {
                throw corrupt("the data of tensor " + quote(tensor.name) +
                              " is not within the file, which is truncated "
                              "or damaged");
            }
            tensor.data = file_->data() + file_->size() - size + offset;
        }
    }

    std::shared_ptr<const MappedFile> file_;
    const std::string & path_;
    const Cancellation & cancellation_;
    size_t position_ = 0;
    uint64_t kept_bytes_ = 0;
    std::optional<std::string> wanted_; // the prefix of the keys whose arrays are kept
    uint64_t array_bytes_ = 0;
    std::map<std::string, GgufArray> arrays_;
    uint64_t n_tensors_ = 0, n_values_ = 0;
    uint64_t alignment_ = default_alignment;
    std::map<std::string, std::string> metadata_;
    std::map<std::string, std::vector<uint64_t>> original_shapes_; // of tensors stored in another shape
    std::vector<StoredTensor> tensors_;
    std::vector<uint64_t> offsets_; // of each tensor, from the start of the data
};

} // namespace

TensorTable read_gguf(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation) {
    return Reader(std::move(file), cancellation).read();
}

GgufValues read_gguf_values(const std::string & path, const std::string & prefix, const Cancellation & cancellation) {
    const auto file = MappedFile::open(path);
    if (recognise_format(*file) != FileFormat::gguf) throw unsupported_file(path, "is not a GGUF file");
    try {
        GgufValues values = Reader(file, cancellation).read_values(prefix);
        file->check_unchanged();
        return values;
    } catch (const Error &) {
        // What a file says while it changes may be anything.
        file->check_unchanged();
        throw;
    }
}

} // namespace diffusion
