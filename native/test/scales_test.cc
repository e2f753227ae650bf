// Scales of 8-bit floats are applied to the weights or refused; none is ignored.
#include <bit>
#include <cmath>

#include "check.h"
#include "files.h"
#include "io/read_numbers.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr ErrorCode unsupported = ErrorCode::model_unsupported, corrupt = ErrorCode::model_corrupt;

struct Piece {
    std::string name, dtype, shape, data;
};

std::string file_of(const std::vector<Piece> & pieces) {
    std::string header = "{", data;
    for (const Piece & piece : pieces) {
        header += (header.size() > 1 ? ",\"" : "\"") + piece.name + R"(":{"dtype":")" + piece.dtype + R"(","shape":)" +
                  piece.shape + R"(,"data_offsets":[)" + std::to_string(data.size()) + "," +
                  std::to_string(data.size() + piece.data.size()) + "]}";
        data += piece.data;
    }
    return little_endian_bytes<uint64_t>(header.size() + 1) + header + "}" + data;
}

std::string floats(const std::vector<float> & values) {
    std::string bytes;
    for (const float value : values) bytes += little_endian_bytes(std::bit_cast<uint32_t>(value));
    return bytes;
}

// 1, 2, -1, 0.5 in e4m3.
const Piece weight = {"a.weight", "F8_E4M3", "[2,2]", "\x38\x40\xB8\x30"};

void applies_scales(const TemporaryFolder & folder) {
    struct Row {
        const char * what;
        std::vector<Piece> others;
        std::vector<float> values;
    };
    const Row rows[] = {
        {"none", {}, {1, 2, -1, 0.5f}},
        {"ComfyUI's", {{"a.scale_weight", "F32", "[1]", floats({3})}}, {3, 6, -3, 1.5f}},
        {"without dimensions, with a marker",
         {{"scaled_fp8", "F8_E4M3", "[0]", ""}, {"a.scale_weight", "F32", "[]", floats({3})}},
         {3, 6, -3, 1.5f}},
        {"the later spelling, with that of inputs and a description",
         {{"a.weight_scale", "F32", "[]", floats({-2})},
          {"a.input_scale", "F32", "[]", floats({7})},
          {"a.comfy_quant", "U8", "[2]", "{}"}},
         {-2, -4, 2, -1}},
        {"in f16, with the earlier scale of inputs and a marker of a component",
         {{"a.scale_input", "F32", "[1]", floats({7})},
          {"x.scaled_fp8", "F8_E4M3", "[2]", "\1\2"},
          {"a.scale_weight", "F16", "[1]", std::string("\0\x40", 2)}},
         {2, 4, -2, 1}},
        {"one for each row", {{"a.weight_scale", "F32", "[2,1]", floats({2, 4})}}, {2, 4, -4, 2}},
    };
    for (const Row & row : rows) {
        std::vector<Piece> pieces = row.others;
        pieces.push_back(weight);
        const TensorTable table = TensorTable::open(folder.write("scaled.safetensors", file_of(pieces)), {});
        const StoredTensor * tensor = table.find("a.weight");
        check(tensor && read_all_numbers(*tensor) == row.values, row.what);
        check(table.tensors().size() == 1 && table.files()[0].n_tensors == pieces.size(), "nothing else is left");
    }
}

void leaves_what_scales_nothing(const TemporaryFolder & folder) {
    const TensorTable table = TensorTable::open(
        folder.write("left.safetensors", file_of({weight,
                                                  {"b.scale_weight", "F32", "[1]", floats({3})},
                                                  {"c.weight", "U8", "[2]", "12"},
                                                  {"c.comfy_quant", "U8", "[2]", "{}"},
                                                  {"y.scaled_fp8", "F32", "[3]", floats({1, 2, 3})}})),
        {});
    for (const char * name : {"b.scale_weight", "c.comfy_quant", "y.scaled_fp8"}) check(table.find(name), name);
}

void refuses_other_scales(const TemporaryFolder & folder) {
    struct Row {
        const char * what;
        std::vector<Piece> others;
        ErrorCode code;
        const char * words;
    };
    const Row rows[] = {
        {"scales of columns or blocks",
         {{"a.weight_scale", "F32", "[3]", floats({1, 2, 3})}},
         unsupported,
         "'a.weight_scale' has 3 scales of the type f32 for 2 rows"},
        {"a scale for each of two columns",
         {{"a.weight_scale", "F32", "[1,2]", floats({1, 2})}},
         unsupported,
         "one for each row"},
        {"no scale", {{"a.weight_scale", "F32", "[0]", ""}}, unsupported, "has 0 scales"},
        {"a scale of bits", {{"a.weight_scale", "F8_E8M0", "[1]", "1"}}, unsupported, "of the type f8_e8m0"},
        {"an integer", {{"a.weight_scale", "I32", "[]", "1234"}}, unsupported, "of the type i32"},
        {"NaN", {{"a.scale_weight", "F32", "[]", floats({NAN})}}, corrupt, "not a finite number"},
        {"infinity for a row", {{"a.scale_weight", "F32", "[2]", floats({1, INFINITY})}}, corrupt, "not a finite"},
        {"two",
         {{"a.scale_weight", "F32", "[]", floats({1})}, {"a.weight_scale", "F32", "[]", floats({1})}},
         corrupt,
         "is a second scale of 'a.weight'"},
    };
    for (const Row & row : rows) {
        std::vector<Piece> pieces = row.others;
        pieces.push_back(weight);
        const std::string path = folder.write("wrong.safetensors", file_of(pieces));
        check_throws(row.what, row.code, row.words, [&] { TensorTable::open(path, {}); });
    }
}

} // namespace

int main() {
    const TemporaryFolder folder;
    applies_scales(folder);
    leaves_what_scales_nothing(folder);
    refuses_other_scales(folder);
    return finish();
}
