// See read_numbers.h.
#include "io/read_numbers.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace diffusion {

namespace {

// Blocks are copied before conversion, because files may align them less than ggml's conversions require.
constexpr size_t piece_bytes = 8192;
using Piece = std::array<uint8_t, piece_bytes>;

// Contiguous numbers.
void read_run(const StoredTensor & tensor, int64_t first, int64_t count, float * values) {
    const NumberType & type = *tensor.type;
    alignas(8) Piece raw;
    const auto read_blocks = [&](int64_t block, int64_t blocks, float * to) {
        std::memcpy(raw.data(), tensor.data + block * type.block_bytes, blocks * type.block_bytes);
        type.widen(raw.data(), to, blocks * type.block);
    };
    const int64_t most_blocks = static_cast<int64_t>(piece_bytes / type.block_bytes);
    while (count > 0) {
        const int64_t block = first / type.block, skipped = first % type.block;
        int64_t n = std::min(count / type.block, most_blocks) * type.block;
        if (skipped == 0 && n > 0) {
            read_blocks(block, n / type.block, values);
        } else {
            float numbers[largest_block];
            read_blocks(block, 1, numbers);
            n = std::min(type.block - skipped, count);
            std::copy_n(numbers + skipped, n, values);
        }
        first += n, values += n, count -= n;
    }
}

// Strided numbers, of types without blocks.
void gather(const StoredTensor & tensor, int64_t first, int64_t count, float * values) {
    const int64_t *ne = tensor.ne, *strides = tensor.strides;
    const size_t size = tensor.type->block_bytes;
    int64_t index[GGML_MAX_DIMS], at = 0;
    for (int i = 0; i < GGML_MAX_DIMS; i++) {
        index[i] = first % ne[i];
        first /= ne[i];
        at += index[i] * strides[i];
    }
    alignas(8) Piece raw;
    const int64_t most = static_cast<int64_t>(piece_bytes / size);
    while (count > 0) {
        const int64_t n = std::min(count, most);
        for (int64_t i = 0; i < n; i++) {
            std::memcpy(raw.data() + i * size, tensor.data + at * size, size);
            at += strides[0];
            for (int d = 0; ++index[d] == ne[d] && d + 1 < GGML_MAX_DIMS; d++) {
                index[d] = 0;
                at += strides[d + 1] - ne[d] * strides[d];
            }
        }
        tensor.type->widen(raw.data(), values, n);
        values += n, count -= n;
    }
}

// Numbers of a converted tensor: those of its source, converted to its type and back, in full blocks.
void convert(const StoredTensor & tensor, int64_t first, int64_t count, float * values) {
    const NumberType & type = *tensor.type;
    alignas(8) Piece raw;
    const auto convert_blocks = [&](int64_t from, int64_t n, float * numbers) {
        read_numbers(*tensor.source, from, n, numbers);
        ggml_quantize_chunk(type.ggml, numbers, raw.data(), 0, 1, n, nullptr);
        type.widen(raw.data(), numbers, n);
    };
    const int64_t most_blocks = static_cast<int64_t>(piece_bytes / type.block_bytes);
    while (count > 0) {
        const int64_t skipped = first % type.block;
        int64_t n = std::min(count / type.block, most_blocks) * type.block;
        if (skipped == 0 && n > 0) {
            convert_blocks(first, n, values);
        } else {
            float whole[largest_block];
            convert_blocks(first - skipped, type.block, whole);
            n = std::min(type.block - skipped, count);
            std::copy_n(whole + skipped, n, values);
        }
        first += n, values += n, count -= n;
    }
}

void multiply(const StoredTensor & tensor, int64_t first, int64_t count, float * values) {
    const int64_t each = tensor.n_elements() / static_cast<int64_t>(tensor.scales.size());
    while (count > 0) {
        const int64_t row = first / each, n = std::min(each - first % each, count);
        const float scale = tensor.scales[row];
        for (int64_t i = 0; i < n; i++) values[i] *= scale;
        first += n, values += n, count -= n;
    }
}

} // namespace

bool has_numbers(const StoredTensor & tensor) {
    return tensor.type->kind == NumberKind::floating && tensor.n_dims <= GGML_MAX_DIMS && tensor.n_elements() > 0;
}

bool is_scalar(const StoredTensor & tensor) {
    return tensor.type->widen && tensor.n_dims <= GGML_MAX_DIMS && tensor.n_elements() == 1;
}

void read_numbers(const StoredTensor & tensor, int64_t first, int64_t count, float * values) {
    (tensor.source ? convert : tensor.strided ? gather : read_run)(tensor, first, count, values);
    if (!tensor.scales.empty()) multiply(tensor, first, count, values);
}

std::vector<float> read_all_numbers(const StoredTensor & tensor) {
    std::vector<float> values(tensor.n_elements());
    read_numbers(tensor, 0, tensor.n_elements(), values.data());
    return values;
}

bool take_rows(const StoredTensor & tensor, int64_t i, int64_t parts, StoredTensor & part) {
    const int rows = tensor.n_dims - 1; // the slowest dimension
    if (rows < 0 || rows > 1 || tensor.ne[rows] % parts != 0) return false;
    const int64_t n = tensor.n_elements() / parts;
    if (n % tensor.type->block != 0) return false;
    part = tensor;
    part.ne[rows] /= parts;
    const int64_t step = tensor.strided ? part.ne[rows] * tensor.strides[rows] : n;
    const size_t bytes = step / tensor.type->block * tensor.type->block_bytes;
    part.data += i * bytes;
    part.n_bytes = tensor.strided ? tensor.n_bytes - (parts - 1) * bytes : bytes;
    if (tensor.scales.size() <= 1) return true;
    const int64_t scales = static_cast<int64_t>(tensor.scales.size()) / parts;
    part.scales.assign(tensor.scales.begin() + i * scales, tensor.scales.begin() + (i + 1) * scales);
    return true;
}

} // namespace diffusion
