// GGUF files: versions 2 and 3 with all types of ggml are read, everything else is refused with a reason.
#include <cstring>

#include "check.h"
#include "files.h"
#include "io/read_numbers.h"
#include "io/tensor_table.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr uint32_t u8 = 0, u32 = 4, boolean = 7, text = 8, array = 9, i64 = 11;
constexpr ErrorCode corrupt = ErrorCode::model_corrupt;
constexpr ErrorCode unsupported = ErrorCode::model_unsupported;
constexpr uint64_t largest = ~uint64_t(0);

std::string array_head(uint32_t type, uint64_t count) {
    return little_endian_bytes(type) + little_endian_bytes(count);
}

// A valid file to modify: two f32 tensors of 32 bytes.
Gguf sound() {
    return Gguf().tensor("a", {8}, GGML_TYPE_F32, 0).tensor("b", {4, 2}, GGML_TYPE_F32, 32).bytes(64);
}

Gguf one(const std::vector<uint64_t> & shape, uint32_t type, uint64_t offset = 0, size_t bytes = 64) {
    return Gguf().tensor("a", shape, type, offset).bytes(bytes);
}

Gguf with_version(uint32_t version) {
    Gguf file = sound();
    file.version = version;
    return file;
}

Gguf with_counts(uint64_t tensors, uint64_t values) {
    Gguf file = sound();
    file.n_tensors = tensors;
    file.n_values = values;
    return file;
}

Gguf with_value(uint32_t type, const std::string & bytes) {
    return sound().value("key", type, bytes);
}

Gguf aligned(uint32_t type, const std::string & bytes) {
    return sound().value("general.alignment", type, bytes);
}

const std::string shape_of = "comfy.gguf.orig_shape.";

// The valid file with another shape of its first tensor.
Gguf original_shape(const std::vector<int64_t> & sizes) {
    std::string bytes = array_head(i64, sizes.size());
    for (const int64_t size : sizes) bytes += little_endian_bytes(size);
    return sound().value(shape_of + "a", array, bytes);
}

struct Row {
    const char * name;
    Gguf file;
    ErrorCode code;
    const char * words;
};

const Row hostile_files[] = {
    {"version 1", with_version(1), unsupported, "version 1"},
    {"version 4", with_version(4), unsupported, "version 4"},
    {"version 0", with_version(0), unsupported, "version 0"},
    {"big-endian", with_version(0x03000000), unsupported, "big-endian"},
    {"2^64 - 1 tensors", with_counts(largest, 0), corrupt, "more than its size can hold"},
    {"2^64 - 1 values", with_counts(2, largest), corrupt, "more than its size can hold"},
    {"more tensors than there are", with_counts(3, 0), corrupt, ""},
    {"more values than there are", with_counts(2, 1), corrupt, ""},
    {"unknown value type", with_value(13, ""), corrupt, "unknown type 13"},
    {"boolean of 2", with_value(boolean, "\x02"), corrupt, "value 2"},
    {"text past the end", with_value(text, little_endian_bytes(largest)), corrupt, "ends within"},
    {"array of an unknown type", with_value(array, array_head(99, 1)), corrupt, "unknown type 99"},
    {"array past the end", with_value(array, array_head(u32, largest)), corrupt, "more than the file holds"},
    {"array of texts past the end", with_value(array, array_head(text, 100)), corrupt, "more than the file holds"},
    {"arrays 5 deep",
     with_value(array, array_head(array, 1) + array_head(array, 1) + array_head(array, 1) + array_head(array, 1) +
                           array_head(u8, 0)),
     corrupt, "more than 4 deep"},
    {"key twice", sound().value("k", u8, "1").value("k", u8, "1"), corrupt, "key 'k' twice"},
    {"key that is not UTF-8", sound().value("\xC3(", u8, "1"), corrupt, "not UTF-8: '\\xc3('"},
    {"key of 65536 bytes", sound().value(std::string(65536, 'k'), u8, "1"), corrupt, "65535"},
    {"alignment of 0", aligned(u32, little_endian_bytes<uint32_t>(0)), corrupt, "not a power of two"},
    {"alignment of 24", aligned(u32, little_endian_bytes<uint32_t>(24)), corrupt, "not a power of two"},
    {"alignment as text", aligned(text, Gguf::text("32")), corrupt, "not a 32-bit unsigned integer"},
    {"alignment of 2^31", aligned(u32, little_endian_bytes<uint32_t>(1u << 31)), corrupt, ""},
    {"name twice", one({8}, GGML_TYPE_F32).tensor("a", {8}, GGML_TYPE_F32, 32), corrupt, "tensor 'a' twice"},
    {"name with a NUL", Gguf().tensor(std::string("a\0b", 3), {8}, GGML_TYPE_F32, 0).bytes(32), corrupt, "NUL"},
    {"name that is not UTF-8", Gguf().tensor("\xED\xA0\x80", {8}, GGML_TYPE_F32, 0).bytes(32), corrupt, "not UTF-8"},
    {"5 axes", one({1, 1, 1, 1, 1}, GGML_TYPE_F32), corrupt, "has 5 dimensions"},
    {"negative axis", one({largest}, GGML_TYPE_F32), corrupt, "larger than any file"},
    {"overflowing product", one({1ull << 32, 1ull << 32}, GGML_TYPE_F32), corrupt, "larger than any file"},
    {"overflowing product next to a zero", one({0, 1ull << 62, 4}, GGML_TYPE_F32), corrupt, "larger than any file"},
    {"overflowing bytes", one({1ull << 62}, GGML_TYPE_F64), corrupt, "larger than the file"},
    {"more than the file", one({1000}, GGML_TYPE_F32), corrupt, "larger than the file"},
    {"removed type", one({32}, 4), unsupported, "type 4"},
    {"removed type of repacked blocks", one({32}, 31), unsupported, "type 31"},
    {"unknown type", one({32}, GGML_TYPE_COUNT), unsupported, "type 43"},
    {"type of 2^32 - 1", one({32}, 0xFFFFFFFF), unsupported, "type 4294967295"},
    {"row of half a block", one({48}, GGML_TYPE_Q8_0), corrupt, "not full blocks of 32"},
    {"offset not aligned", one({4}, GGML_TYPE_F32, 4), corrupt, "not a multiple of the alignment 32"},
    {"offset past the end", one({4}, GGML_TYPE_F32, 64), corrupt, "not within the file"},
    {"offset near 2^64", one({4}, GGML_TYPE_F32, largest - 31), corrupt, "not within the file"},
    {"data past the end", one({20}, GGML_TYPE_F32), corrupt, "not within the file"},
    {"overlap", one({16}, GGML_TYPE_F32).tensor("b", {8}, GGML_TYPE_F32, 32), corrupt, "'a' and 'b' overlap"},
    {"an original shape that is not an array", sound().value(shape_of + "a", u32, little_endian_bytes<uint32_t>(8)),
     corrupt, "is not an array; expected 1 to 4 integers"},
    {"an original shape of texts", sound().value(shape_of + "a", array, array_head(text, 1) + Gguf::text("8")), corrupt,
     "another type"},
    {"an original shape of no sizes", sound().value(shape_of + "a", array, array_head(u32, 0)), corrupt, "array of 0"},
    {"an original shape of 5 sizes", original_shape({1, 1, 1, 1, 8}), corrupt, "array of 5"},
    {"an original shape of 2^64 - 1 sizes", sound().value(shape_of + "a", array, array_head(u32, largest)), corrupt,
     "array of 18446744073709551615"},
    {"an original shape with a zero", original_shape({8, 0}), corrupt, "the size 0"},
    {"an original shape with a negative size", original_shape({-8, -1}), corrupt, "the size -"},
    {"an original shape of other elements", original_shape({3, 3}), corrupt, "should have the shape [3, 3]"},
    {"an original shape that overflows", original_shape({1 << 30, 1 << 30, 1 << 30, 8}), corrupt, "should have"},
    {"an original shape that is cut", sound().value(shape_of + "a", array, array_head(u32, 4)), corrupt, ""},
    {"an original shape twice",
     original_shape({8}).value(shape_of + "a", array, array_head(u8, 1) + std::string("\x08")), corrupt, "twice"},
    {"no data at all", Gguf().tensor("a", {1}, GGML_TYPE_F32, 0), corrupt, "not within the file"},
};

void refuses_hostile_files(const TemporaryFolder & folder) {
    for (const Row & row : hostile_files) {
        const std::string path = folder.write("hostile.gguf", row.file.file());
        check_throws(row.name, row.code, row.words, [&] { TensorTable::open(path, {}); });
    }
    const std::string complete = sound().value("k", text, Gguf::text("value")).file();
    for (size_t size = 4; size < complete.size(); size++) {
        const std::string path = folder.write("cut.gguf", complete.substr(0, size));
        check_throws("cut to " + std::to_string(size) + " bytes", corrupt, "", [&] { TensorTable::open(path, {}); });
    }
}

void reads_sound_files(const TemporaryFolder & folder) {
    for (const uint32_t version : {2u, 3u}) {
        const TensorTable table = TensorTable::open(folder.write("sound.gguf", with_version(version).file()), {});
        const StoredTensor * b = table.find("b");
        check(table.tensors().size() == 2 && b && b->n_dims == 2 && b->ne[0] == 4 && b->ne[1] == 2 && b->n_bytes == 32,
              "shapes keep ggml's order, version " + std::to_string(version));
        check(b && b->data == table.find("a")->data + 32, "data lies at its offset");
    }
    Gguf wide = sound();
    wide.alignment = 64;
    wide.infos.clear();
    wide.n_tensors = 0;
    wide.tensor("a", {8}, GGML_TYPE_F32, 0).tensor("b", {}, GGML_TYPE_F32, 64).bytes(128);
    wide.value("general.alignment", u32, little_endian_bytes<uint32_t>(64));
    const TensorTable table = TensorTable::open(folder.write("wide.gguf", wide.file()), {});
    check(table.find("b") && table.find("b")->n_elements() == 1, "an alignment of 64 and a scalar are read");
    const TensorTable none = TensorTable::open(folder.write("none.gguf", Gguf().file()), {});
    check(none.tensors().empty() && none.files().size() == 1, "a file without tensors is sound");
}

void reads_every_type(const TemporaryFolder & folder) {
    int n_types = 0;
    for (int id = 0; id < GGML_TYPE_COUNT; id++) {
        const auto type = static_cast<ggml_type>(id);
        const auto block = static_cast<uint64_t>(ggml_blck_size(type));
        if (block == 0) continue;
        const size_t bytes = 3 * ggml_type_size(type);
        const Gguf file = one({block, 3}, static_cast<uint32_t>(id), 0, bytes);
        const TensorTable table = TensorTable::open(folder.write("type.gguf", file.file()), {});
        const StoredTensor * tensor = table.find("a");
        check(tensor && tensor->type->ggml == type && tensor->n_bytes == bytes, ggml_type_name(type));
        const Gguf cut = one({block, 3}, static_cast<uint32_t>(id), 0, bytes - 1);
        const std::string path = folder.write("type.gguf", cut.file());
        check_throws(ggml_type_name(type), corrupt, "", [&] { TensorTable::open(path, {}); });
        n_types++;
    }
    check_equal(n_types, 35, "ggml has 35 types");
}

// A sparse file claims more text than the machine has memory.
void keeps_little_metadata(const TemporaryFolder & folder) {
    Gguf file;
    const std::string megabyte = Gguf::text(std::string(1 << 20, 'x'));
    for (int i = 0; i < 65; i++) file.value("k" + std::to_string(i), text, megabyte);
    const TensorTable table = TensorTable::open(folder.write("texts.gguf", file.file()), {});
    const auto & metadata = table.files().at(0).metadata;
    check_equal(metadata.at("k63").size(), size_t{1} << 20, "64 MB of text are kept");
    check_equal(metadata.at("k64"), "a string of 1048576 bytes", "more is only named");
}

// A convolution weight [2, 32, 3, 3] in rows that are not full blocks, as ComfyUI-GGUF stores it.
void reads_original_shapes(const TemporaryFolder & folder) {
    std::string sizes = array_head(5, 4);
    for (const int32_t size : {2, 32, 3, 4}) sizes += little_endian_bytes(size);
    Gguf file = Gguf()
                    .value(shape_of + "kernel", array, sizes)
                    .value(shape_of + "absent", array, array_head(u8, 1) + std::string("\x08"))
                    .tensor("kernel", {256, 3}, GGML_TYPE_Q8_0, 0)
                    .bytes(24 * 34);
    for (size_t block = 0; block < 24; block++) {
        const ggml_fp16_t scale = ggml_fp32_to_fp16(static_cast<float>(block));
        std::memcpy(file.data.data() + 34 * block, &scale, 2);
        for (size_t i = 0; i < 32; i++) file.data[34 * block + 2 + i] = static_cast<char>(i);
    }
    const TensorTable table = TensorTable::open(folder.write("shaped.gguf", file.file()), {});
    const StoredTensor & kernel = *table.find("kernel");
    check(kernel.n_dims == 4 && kernel.ne[0] == 4 && kernel.ne[1] == 3 && kernel.ne[2] == 32 && kernel.ne[3] == 2,
          "the original shape");
    check(table.files()[0].metadata.empty(), "is no metadata of the file");
    const std::vector<float> values = read_all_numbers(kernel);
    bool same = values.size() == 768;
    for (size_t i = 0; same && i < values.size(); i++) same = values[i] == static_cast<float>(i / 32 * (i % 32));
    check(same, "the numbers stay in their order");
}

// A file by the reference library, see test/reference/tensor_files.py.
void reads_reference_file() {
    const TensorTable table = TensorTable::open("test/reference/all_types.gguf", {});
    check_equal(table.tensors().size(), 34u, "the file of the reference library has 34 tensors");
    for (const StoredTensor & tensor : table.tensors()) {
        check(tensor.name == "tensor." + std::string(tensor.type->name), tensor.name + " is of its type");
        check(tensor.n_dims == 2 && tensor.ne[1] == 2 &&
                  tensor.n_bytes == 2 * ggml_row_size(tensor.type->ggml, tensor.ne[0]),
              tensor.name + " has its shape");
    }
    const std::pair<const char *, const char *> values[] = {
        {"general.architecture", "test"},
        {"number.u8", "255"},
        {"number.i8", "-128"},
        {"number.u16", "65535"},
        {"number.i16", "-32768"},
        {"number.u32", "4294967295"},
        {"number.i32", "-2147483648"},
        {"number.u64", "18446744073709551615"},
        {"number.i64", "-9223372036854775808"},
        {"number.f32", "0.5"},
        {"number.f64", "-1e+300"},
        {"flag", "true"},
        {"text", "größer"},
        {"short", "[1, 2, 3]"},
        {"long", "an array of 1000"},
        {"words", "[one, two]"},
    };
    const auto & metadata = table.files().at(0).metadata;
    for (const auto & [key, value] : values) {
        const auto entry = metadata.find(key);
        check(entry != metadata.end() && entry->second == value, std::string("metadata ") + key);
    }
}

} // namespace

int main() {
    const TemporaryFolder folder;
    refuses_hostile_files(folder);
    reads_sound_files(folder);
    reads_every_type(folder);
    keeps_little_metadata(folder);
    reads_reference_file();
    reads_original_shapes(folder);
    return finish();
}
