// Safetensors files: valid ones are read, everything else is refused with a reason.
#include <chrono>

#include "check.h"
#include "files.h"
#include "io/read_numbers.h"
#include "io/tensor_table.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

struct Row {
    const char * name;
    std::string header;
    size_t data_bytes;
    ErrorCode code;
    const char * words;
};

constexpr ErrorCode corrupt = ErrorCode::model_corrupt;

const std::string deep(100000, '[');

const Row hostile_headers[] = {
    {"empty object where data follows", "{}", 8, corrupt, "8 of its 8 bytes of data belong to no tensor"},
    {"broken JSON", R"({"a":)", 0, corrupt, "malformed"},
    {"text after the JSON", "{} x", 0, corrupt, "malformed"},
    {"invalid UTF-8 in a name", "{\"a\xFF\":{}}", 0, corrupt, "malformed"},
    {"NUL in a name", R"({"a\u0000b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, corrupt, "NUL"},
    {"number for a tensor", R"({"a":1})", 0, corrupt, "described by a number"},
    {"null for a tensor", R"({"a":null})", 0, corrupt, "described by null"},
    {"array for a tensor", R"({"a":[]})", 0, corrupt, "described by an array"},
    {"deep nesting", R"({"a":{"dtype":"F32","shape":)" + deep, 0, corrupt, "an array in its 'shape'"},
    {"object in a tensor", R"({"a":{"dtype":{}}})", 0, corrupt, "an object in its 'dtype'"},
    {"unknown field", R"({"a":{"dtype":"F32","colour":1}})", 0, corrupt, "'colour'"},
    {"missing dtype", R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, corrupt, "lacks"},
    {"missing shape", R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, corrupt, "lacks"},
    {"missing offsets", R"({"a":{"dtype":"F32","shape":[1]}})", 4, corrupt, "lacks"},
    {"empty tensor object", R"({"a":{}})", 0, corrupt, "lacks"},
    {"dtype as a number", R"({"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}})", 4, corrupt,
     "a number in its 'dtype'"},
    {"unknown dtype", R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4, ErrorCode::model_unsupported,
     "unknown dtype 'F33'"},
    {"wrong dtype", R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,4]}})", 4, corrupt,
     "does not match its 4 bytes"},
    {"field twice", R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, corrupt, "twice"},
    {"tensor twice",
     R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
     8, corrupt, "has the tensor 'a' twice"},
    {"negative axis", R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, corrupt, "a negative number"},
    {"fractional axis", R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, corrupt, "a fraction"},
    {"axis beyond 64 bits", R"({"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}})", 4, corrupt,
     "beyond 64 bits"},
    {"axis as text", R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", 4, corrupt, "a string"},
    {"overflowing product", R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, corrupt,
     "does not match"},
    {"overflowing product next to a zero",
     R"({"a":{"dtype":"F32","shape":[0,9223372036854775807,9],"data_offsets":[0,0]}})", 0, corrupt, "does not match"},
    {"overflowing bytes", R"({"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0, corrupt,
     "does not match"},
    {"shape larger than data", R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, corrupt,
     "does not match"},
    {"shape smaller than data", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 8, corrupt,
     "does not match"},
    {"one offset", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, corrupt, "needs two data_offsets"},
    {"three offsets", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 8, corrupt, "more than two"},
    {"offsets backwards", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, corrupt, "not within"},
    {"offsets past the end", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, corrupt, "truncated"},
    {"offsets near 2^64",
     R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551615]}})", 4, corrupt,
     "not within"},
    {"overlap",
     R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
     12, corrupt, "'a' and 'b' overlap"},
    {"same data twice",
     R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
     4, corrupt, "overlap"},
    {"gap",
     R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
     12, corrupt, "4 of its 12 bytes"},
    {"data after the last tensor", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5, corrupt,
     "1 of its 5"},
    {"metadata as text", R"({"__metadata__":"x"})", 0, corrupt, "described by a string"},
    {"metadata with a number", R"({"__metadata__":{"a":1}})", 0, corrupt, "a number in its 'a'"},
    {"metadata with an object", R"({"__metadata__":{"a":{}}})", 0, corrupt, "an object in its 'a'"},
    {"metadata twice", R"({"__metadata__":{},"__metadata__":{}})", 0, corrupt, "two __metadata__"},
    {"metadata key twice", R"({"__metadata__":{"a":"1","a":"2"}})", 0, corrupt, "'a' twice"},
    {"65 axes",
     R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,)"
     R"(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})",
     4, corrupt, "more than 64 dimensions"},
};

void refuses_headers(const TemporaryFolder & folder) {
    for (const Row & row : hostile_headers) {
        const std::string path = folder.write("hostile.safetensors", safetensors(row.header, row.data_bytes));
        check_throws(row.name, row.code, row.words, [&] { TensorTable::open(path, {}); });
    }
}

void refuses_lengths(const TemporaryFolder & folder) {
    const std::string sound = safetensors_of({"a", "b"});
    const auto open = [&](const std::string & bytes) {
        return [&folder, bytes] { TensorTable::open(folder.write("length.safetensors", bytes), {}); };
    };
    check_throws("header past the end", corrupt, "only 2 follow", open(little_endian_bytes<uint64_t>(3) + "{}"));
    check_throws("header of 2^64 - 1", corrupt, "claims a safetensors header of 18446744073709551615 bytes",
                 open(std::string(8, '\xFF') + "{}"));
    check_throws("header over 100 MB", corrupt, "100000000", open(little_endian_bytes<uint64_t>(100000001) + "{}"));
    check_throws("header of no bytes", corrupt, "malformed", open(little_endian_bytes<uint64_t>(0) + "{}"));
    for (size_t size = 1; size < sound.size(); size++) {
        check_throws("cut to " + std::to_string(size) + " bytes", corrupt, "", open(sound.substr(0, size)));
    }
}

void reads_reference_file() {
    const TensorTable table = TensorTable::open("test/reference/all_types.safetensors", {});
    check_equal(table.tensors().size(), 19u, "the file of the reference library has 19 tensors");
    check_equal(table.files().at(0).n_tensors, 19u, "the file counts them");
    check_equal(table.files().at(0).format, "safetensors", "format");
    check_equal(table.files().at(0).metadata.at("note"), "größer", "metadata is kept");
    const std::pair<const char *, ggml_type> known[] = {
        {"float32", GGML_TYPE_F32}, {"float16", GGML_TYPE_F16}, {"bfloat16", GGML_TYPE_BF16},
        {"float64", GGML_TYPE_F64}, {"int8", GGML_TYPE_I8},     {"int16", GGML_TYPE_I16},
        {"int32", GGML_TYPE_I32},   {"int64", GGML_TYPE_I64},
    };
    for (const auto & [name, type] : known) {
        const StoredTensor * tensor = table.find(std::string("tensor.") + name);
        check(tensor && tensor->type->ggml == type && tensor->type->name == ggml_type_name(type), name);
    }
    const std::pair<const char *, const char *> foreign[] = {
        {"uint8", "u8"},
        {"uint16", "u16"},
        {"uint32", "u32"},
        {"uint64", "u64"},
        {"bool", "bool"},
        {"float8_e4m3fn", "f8_e4m3"},
        {"float8_e5m2", "f8_e5m2"},
        {"complex64", "c64"},
    };
    for (const auto & [name, type_name] : foreign) {
        const StoredTensor * tensor = table.find(std::string("tensor.") + name);
        check(tensor && tensor->type->ggml == GGML_TYPE_COUNT && tensor->type->name == type_name, name);
    }
    const StoredTensor * matrix = table.find("tensor.float32");
    check(matrix->n_dims == 2 && matrix->ne[0] == 3 && matrix->ne[1] == 2 && matrix->n_bytes == 24,
          "axes are reversed");
    const StoredTensor * scalar = table.find("scalar");
    check(scalar->n_dims == 0 && scalar->n_elements() == 1 && has_numbers(*scalar), "a scalar has no axes");
    check(table.find("empty")->n_elements() == 0 && table.find("empty")->n_bytes == 0, "an empty tensor is fine");
    const StoredTensor * large = table.find("five axes");
    check(!has_numbers(*large) && large->n_dims == 5 && large->n_elements() == 120, "five axes are more than ggml has");
    check(table.find("absent") == nullptr, "an absent tensor is not found");
}

void reads_a_million_tensors(const TemporaryFolder & folder) {
    std::vector<std::string> names;
    for (int i = 0; i < 1000000; i++) names.push_back("t" + std::to_string(i));
    const std::string path = folder.write("million.safetensors", safetensors_of(names));
    const auto start = std::chrono::steady_clock::now();
    const TensorTable table = TensorTable::open(path, {});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    check_equal(table.tensors().size(), 1000000u, "a million tensors are read");
    std::printf("a million tensors in %.2f s\n", seconds.count());
    Cancellation cancelled;
    cancelled.cancel();
    check_throws("cancelled", ErrorCode::cancelled, "", [&] { TensorTable::open(path, cancelled); });
}

} // namespace

int main() {
    const TemporaryFolder folder;
    refuses_headers(folder);
    refuses_lengths(folder);
    reads_reference_file();
    reads_a_million_tensors(folder);
    return finish();
}
