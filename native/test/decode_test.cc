// The kernels' conversions of stored numbers to f32 give exactly ggml's numbers, and panels have them in their place.
#include <cmath>
#include <cstring>
#include <vector>

#include "check.h"
#include "cpu/kernels.h"
#include "io/number_type.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr ggml_type types[] = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16,   GGML_TYPE_Q8_0,   GGML_TYPE_Q6_K,
                               GGML_TYPE_Q5_K, GGML_TYPE_Q5_1, GGML_TYPE_Q5_0,   GGML_TYPE_Q4_K,   GGML_TYPE_Q4_1,
                               GGML_TYPE_Q4_0, GGML_TYPE_Q3_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS, GGML_TYPE_Q2_K};

// A generator of the ANSI C standard's form.
uint32_t next_random() {
    static uint32_t state = 1;
    state = state * 1103515245 + 12345;
    return state >> 8;
}

bool same(float a, float b) {
    return std::isnan(a) ? std::isnan(b) : std::memcmp(&a, &b, sizeof a) == 0;
}

struct Numbers {
    std::vector<uint8_t> bytes; // at an odd address, as in files
    std::vector<float> values;  // as ggml converts them
    const uint8_t * data() const { return bytes.data() + 1; }
};

// Random bits: all integers, scales of any size, infinities and NaN.
Numbers random_numbers(ggml_type type, int64_t n) {
    const size_t size = ggml_row_size(type, n);
    Numbers numbers{std::vector<uint8_t>(1 + size), std::vector<float>(n)};
    for (uint8_t & byte : numbers.bytes) byte = static_cast<uint8_t>(next_random());
    const std::vector<uint8_t> aligned(numbers.bytes.begin() + 1, numbers.bytes.end());
    number_type(type).widen(aligned.data(), numbers.values.data(), n);
    return numbers;
}

void decodes_as_ggml(const Kernels & kernels, ggml_type type) {
    constexpr int64_t n = 40 * 256;
    const Numbers numbers = random_numbers(type, n);
    const Decode decode = kernels.decoder(type);
    const std::string what = std::string(kernels.name) + ", " + ggml_type_name(type);
    if (!check(decode != nullptr, what + ": has a conversion")) return;
    bool sound = true;
    for (const auto & [first, count] : {std::pair<int64_t, int64_t>{0, n}, {1, 1}, {31, 300}, {256, 256}, {700, 68}}) {
        std::vector<float> values(count);
        decode(numbers.data(), first, count, values.data());
        for (int64_t i = 0; i < count; i++) sound &= same(values[i], numbers.values[first + i]);
    }
    check(sound, what + ": the same numbers from any beginning");
}

// [taps, in] of each column -> [taps, in / kr, columns, kr].
void packs_panels(const Kernels & kernels, ggml_type type, int64_t in, int64_t taps, int64_t columns, bool gated) {
    const int64_t rows = gated ? 2 * columns : columns, first = 3;
    const int64_t n = GGML_PAD((first + rows) * in * taps, 256);
    Numbers numbers = random_numbers(type, n);
    const int64_t vectors = gated || columns > kernels.nr / 2 ? 2 : 1, width = vectors * kernels.nr / 2;
    const int64_t padded = GGML_PAD(in, kernels.kr);
    std::vector<uint8_t> panel(kernels.panel_size(gated ? kernels.nr : columns, padded * taps));
    std::vector<uint8_t> scratch(kernels.pack_scratch(in, taps));
    PanelSource source;
    source.decode = kernels.decoder(type);
    source.data = numbers.data();
    source.first = first;
    if (gated) source.second = first + columns;
    source.columns = columns, source.in = in, source.taps = taps;
    kernels.pack(source, panel.data(), scratch.data());

    bool sound = panel.size() == static_cast<size_t>(padded * taps * width) * kernels.operand_size;
    for (int64_t at = 0; sound && at < padded * taps * width; at++) {
        const int64_t k = at % kernels.kr, column = at / kernels.kr % width, row = at / kernels.kr / width;
        const int64_t channel = row % (padded / kernels.kr) * kernels.kr + k, tap = row / (padded / kernels.kr);
        const int64_t half = kernels.nr / 2, of = gated ? column % half : column;
        const bool is_number = channel < in && of < columns;
        const int64_t source_row = first + of + (gated && column >= half ? columns : 0);
        const float expected = is_number ? numbers.values[(source_row * in + channel) * taps + tap] : 0.0f;
        float packed, rounded = expected;
        if (kernels.operand == GGML_TYPE_F32) {
            std::memcpy(&packed, panel.data() + at * 4, 4);
        } else {
            ggml_bf16_t bits;
            std::memcpy(&bits, panel.data() + at * 2, 2);
            packed = ggml_bf16_to_fp32(bits);
            rounded = ggml_bf16_to_fp32(ggml_fp32_to_bf16(expected));
        }
        // Numbers below the normal ones may become zero.
        sound &= same(packed, rounded) || (std::fabs(rounded) < 0x1p-125f && packed == 0);
    }
    check(sound, std::string(kernels.name) + ", " + ggml_type_name(type) + ": " + std::to_string(columns) +
                     (gated ? " gated" : "") + " columns of " + std::to_string(in) + " x " + std::to_string(taps));
}

} // namespace

int main() {
    for (const Kernels * kernels : available_kernels()) {
        for (const ggml_type type : types) {
            decodes_as_ggml(*kernels, type);
            packs_panels(*kernels, type, 320, 9, kernels->nr, false);
        }
        check(!kernels->decoder(GGML_TYPE_I32), "integers are not weights");
        packs_panels(*kernels, GGML_TYPE_Q4_0, 544, 1, kernels->nr, false);
        packs_panels(*kernels, GGML_TYPE_F32, 7, 9, 5, false);
        packs_panels(*kernels, GGML_TYPE_F32, 3, 49, kernels->nr - 3, false);
        packs_panels(*kernels, GGML_TYPE_Q8_0, 64, 1, kernels->nr / 2, true);
        packs_panels(*kernels, GGML_TYPE_F16, 33, 1, 3, true);
    }
    return finish();
}
