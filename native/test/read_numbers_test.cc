// Numbers as other programs store them: 8-bit floats, double precision, strides, blocks across rows, scales.
#include <cmath>
#include <cstring>
#include <limits>

#include "check.h"
#include "cpu/packed_weights.h"
#include "io/mapped_file.h"
#include "io/read_numbers.h"
#include "weights/placed_weights.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();

bool same(float a, float b) {
    return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

StoredTensor stored(const NumberType & type, const void * data, std::vector<int64_t> ne) {
    StoredTensor tensor;
    tensor.name = "w";
    tensor.type = &type;
    tensor.n_dims = static_cast<int>(ne.size());
    std::copy(ne.begin(), ne.end(), tensor.ne);
    tensor.data = static_cast<const uint8_t *>(data);
    tensor.n_bytes = tensor.n_elements() / type.block * type.block_bytes;
    return tensor;
}

// Numbers from the papers' tables, and the neighbours of each limit.
void widens_8_bit_floats() {
    struct Row {
        const char * type;
        uint8_t bits;
        float value;
    };
    const Row rows[] = {
        {"f8_e4m3", 0x00, 0.0f},          {"f8_e4m3", 0x80, -0.0f},        {"f8_e4m3", 0x01, 0x1p-9f},
        {"f8_e4m3", 0x07, 0x1.Cp-7f},     {"f8_e4m3", 0x08, 0x1p-6f},      {"f8_e4m3", 0x38, 1.0f},
        {"f8_e4m3", 0xB9, -1.125f},       {"f8_e4m3", 0x78, 256.0f},       {"f8_e4m3", 0x7E, 448.0f},
        {"f8_e4m3", 0x7F, nan},           {"f8_e4m3", 0xFF, nan},          {"f8_e5m2", 0x80, -0.0f},
        {"f8_e5m2", 0x01, 0x1p-16f},      {"f8_e5m2", 0x03, 0x1.8p-15f},   {"f8_e5m2", 0x04, 0x1p-14f},
        {"f8_e5m2", 0x3C, 1.0f},          {"f8_e5m2", 0x7B, 57344.0f},     {"f8_e5m2", 0x7C, infinity},
        {"f8_e5m2", 0xFC, -infinity},     {"f8_e5m2", 0x7D, nan},          {"f8_e4m3fnuz", 0x80, nan},
        {"f8_e4m3fnuz", 0x01, 0x1p-10f},  {"f8_e4m3fnuz", 0x40, 1.0f},     {"f8_e4m3fnuz", 0x7F, 240.0f},
        {"f8_e5m2fnuz", 0x80, nan},       {"f8_e5m2fnuz", 0x01, 0x1p-17f}, {"f8_e5m2fnuz", 0x40, 1.0f},
        {"f8_e5m2fnuz", 0xFF, -57344.0f},
    };
    for (const Row & row : rows) {
        float value = 0;
        find_number_type(row.type)->widen(&row.bits, &value, 1);
        check(same(value, row.value),
              std::string(row.type) + " " + std::to_string(row.bits) + " is " + std::to_string(value));
    }
    // The other half of f16, whose first byte is an e5m2.
    for (int i = 0; i < 256; i++) {
        const auto bits = static_cast<uint8_t>(i);
        float value = 0;
        find_number_type("f8_e5m2")->widen(&bits, &value, 1);
        check(same(value, ggml_fp16_to_fp32(static_cast<ggml_fp16_t>(i << 8))), "e5m2 is the upper half of f16");
    }
}

void widens_others() {
    const double doubles[] = {0.1, -1e300};
    const int64_t integers[] = {-3, 1 << 20};
    const uint64_t large[] = {1, uint64_t(1) << 63};
    check(read_all_numbers(stored(number_type(GGML_TYPE_F64), doubles, {2})) == std::vector<float>{0.1f, -infinity},
          "f64");
    check(read_all_numbers(stored(number_type(GGML_TYPE_I64), integers, {2})) == std::vector<float>{-3, 1 << 20},
          "i64");
    check(read_all_numbers(stored(*find_number_type("u64"), large, {2})) == std::vector<float>{1, 0x1p63f}, "u64");
    check(!find_number_type("f12") && !find_number_type("DEPRECATED"), "unknown names");
    for (const char * name : {"c64", "f4", "f8_e8m0"}) check(!find_number_type(name)->widen, name);
}

// All beginnings and lengths, of numbers in blocks and of strided ones.
void reads_any_run() {
    constexpr int64_t n = 160;
    std::vector<float> values(n), expected(n);
    for (int64_t i = 0; i < n; i++) values[i] = static_cast<float>((i * 37) % 101) - 50;
    std::vector<uint8_t> aligned(ggml_row_size(GGML_TYPE_Q8_0, n));
    ggml_quantize_chunk(GGML_TYPE_Q8_0, values.data(), aligned.data(), 0, 1, n, nullptr);
    number_type(GGML_TYPE_Q8_0).widen(aligned.data(), expected.data(), n);
    std::vector<uint8_t> raw(1 + aligned.size()); // numbers at an odd address
    std::ranges::copy(aligned, raw.begin() + 1);
    StoredTensor blocks = stored(number_type(GGML_TYPE_Q8_0), raw.data() + 1, {5, 32});
    blocks.scales = std::vector<float>(32);
    for (size_t i = 0; i < 32; i++) blocks.scales[i] = 0.5f * static_cast<float>(i + 1);

    // [4, 5, 8] with its dimensions reversed in memory, and a gap of one after each number.
    std::vector<int16_t> apart(2 * n);
    StoredTensor strided = stored(number_type(GGML_TYPE_I16), apart.data(), {4, 5, 8});
    strided.strided = true;
    const int64_t strides[GGML_MAX_DIMS] = {80, 16, 2, 0};
    std::copy(std::begin(strides), std::end(strides), strided.strides);
    for (int16_t i = 0; i < n; i++) apart[(i % 4) * 80 + (i / 4 % 5) * 16 + i / 20 * 2] = i;

    bool sound_blocks = true, sound_strides = true;
    for (int64_t first = 0; first < n; first++) {
        for (int64_t count = 1; count <= n - first; count++) {
            std::vector<float> a(count), b(count);
            read_numbers(blocks, first, count, a.data());
            read_numbers(strided, first, count, b.data());
            for (int64_t i = 0; i < count; i++) {
                sound_blocks &= a[i] == expected[first + i] * blocks.scales[(first + i) / 5];
                sound_strides &= b[i] == static_cast<float>(first + i);
            }
        }
    }
    check(sound_blocks, "blocks across rows, with a scale for each row");
    check(sound_strides, "strides");
}

void takes_parts() {
    std::vector<float> values(24);
    for (size_t i = 0; i < 24; i++) values[i] = static_cast<float>(i);
    StoredTensor plain = stored(number_type(GGML_TYPE_F32), values.data(), {4, 6}), part;
    plain.scales = {1, 1, 2, 2, 3, 3};
    check(take_rows(plain, 2, 3, part) && part.ne[1] == 2 && part.n_bytes == 32, "the last two rows");
    check(read_all_numbers(part) == std::vector<float>{48, 51, 54, 57, 60, 63, 66, 69}, "with their scales");
    StoredTensor turned = stored(number_type(GGML_TYPE_F32), values.data(), {4, 6});
    turned.strided = true;
    turned.strides[0] = 6, turned.strides[1] = 1;
    check(take_rows(turned, 1, 3, part) && part.data + part.n_bytes <= turned.data + turned.n_bytes,
          "within its bytes");
    check(read_all_numbers(part) == std::vector<float>{2, 8, 14, 20, 3, 9, 15, 21}, "of a transposed matrix");
    check(!take_rows(plain, 0, 4, part), "six rows are not four parts");
    check(!take_rows(stored(number_type(GGML_TYPE_Q8_0), values.data(), {16, 3}), 0, 3, part), "half a block");
}

// Types that no ggml tensor can have stay in the file with this package's kernels, and are converted without them.
void places_every_type() {
    const float f = 0.3f;
    const double d = 0.1;
    const uint8_t e = 0x39;
    const ggml_fp16_t h = ggml_fp32_to_fp16(0.7f);
    StoredTensor half = stored(number_type(GGML_TYPE_F16), &h, {1}),
                 scaled = stored(*find_number_type("f8_e4m3"), &e, {1});
    half.strided = true;
    scaled.scales = {0.5f};
    const std::pair<StoredTensor, ggml_type> rows[] = {
        {stored(number_type(GGML_TYPE_F32), &f, {1}), GGML_TYPE_F32},
        {stored(number_type(GGML_TYPE_F64), &d, {1}), GGML_TYPE_F32},
        {stored(*find_number_type("f8_e4m3"), &e, {1}), GGML_TYPE_F16},
        {scaled, GGML_TYPE_F16},
        {half, GGML_TYPE_F16},
    };
    const std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> backend(
        ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr), ggml_backend_free);
    for (const auto & [tensor, type] : rows) {
        TensorTable table;
        table.add_file({"x", "", 0, 0, MappedFile::open("test/reference/embedding.pt"), {}});
        table.add(tensor);
        WeightBinder binder(table);
        const Tensor weight = binder.weight("w", {1, 1});
        if (!check(weight && weight->type == type, std::string(tensor.type->name) + " is " + ggml_type_name(type)))
            continue;
        if (tensor.is_plain() && tensor.type->ggml == type) continue; // there is no file in this test
        const PlacedWeights placed(table, binder.bindings(), {backend.get()}, Placement::mapped, {}, {});
        uint8_t raw[4];
        float value;
        ggml_backend_tensor_get(weight, raw, 0, ggml_nbytes(weight));
        number_type(type).widen(raw, &value, 1);
        check_equal(value, read_all_numbers(tensor)[0], "the number of the file");
        check(!placed.in_file(weight), "in memory of its own");
    }
}

// A tensor that is converted has the numbers of the converted one, wherever reading begins.
void reads_converted_tensors() {
    constexpr int64_t n = 3 * 256;
    std::vector<double> values;
    for (int64_t i = 0; i < n; i++) values.push_back(std::sin(static_cast<double>(i) * 1.3));
    StoredTensor source = stored(number_type(GGML_TYPE_F64), values.data(), {256, 3});
    source.scales = {2, 1, 0.5f};
    const std::vector<float> numbers = read_all_numbers(source);
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K}) {
        TensorTable table;
        table.add_file({});
        table.add(source);
        table.convert(0, number_type(type));
        const StoredTensor & converted = *table.find("w");
        const std::string what = ggml_type_name(type);
        check(converted.is_plain() && converted.n_bytes == ggml_row_size(type, n) && converted.in_file().scales.size(),
              what + ": its size");
        std::vector<uint8_t> bytes(converted.n_bytes);
        ggml_quantize_chunk(type, numbers.data(), bytes.data(), 0, 3, 256, nullptr);
        const std::vector<float> expected = read_all_numbers(stored(number_type(type), bytes.data(), {256, 3}));
        check(read_all_numbers(converted) == expected, what + ": all numbers");
        for (const auto & [first, count] : {std::pair<int64_t, int64_t>{1, 1}, {31, 300}, {256, 256}, {700, 68}}) {
            std::vector<float> some(count);
            read_numbers(converted, first, count, some.data());
            check(std::equal(some.begin(), some.end(), expected.begin() + first), what + ": some numbers");
        }
    }
}

} // namespace

int main() {
    reads_converted_tensors();
    widens_8_bit_floats();
    widens_others();
    reads_any_run();
    takes_parts();
    places_every_type();
    return finish();
}
