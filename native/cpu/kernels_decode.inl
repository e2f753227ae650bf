// Converts numbers of weights, as files store them, to f32: exactly those of ggml's conversions, faster. Part of
// kernels.inl.

namespace diffusion {
namespace {

// A quantized block: a number is its integer times the step of its group, plus the group's offset.
struct Unpacked {
    alignas(64) int8_t integers[256];
    float steps[16];
    float offsets[16];
};

// The fields of a block, which may be at any address.
inline float half_at(const uint8_t * p) {
    Half bits;
    std::memcpy(&bits, p, sizeof bits);
    return to_float(bits);
}

inline uint32_t word_at(const uint8_t * p) {
    uint32_t word;
    std::memcpy(&word, p, sizeof word);
    return word;
}

// 4 bits of 2 `count` numbers, less `bias`: the lower halves of the bytes, then the upper ones.
template <int count, int bias = 0> void unpack_nibbles(const uint8_t * bytes, int8_t * to) {
    for (int i = 0; i < count; i++) to[i] = static_cast<int8_t>((bytes[i] & 15) - bias);
    for (int i = 0; i < count; i++) to[count + i] = static_cast<int8_t>((bytes[i] >> 4) - bias);
}

// Each format has the numbers and bytes of a block, the numbers of a group, and whether groups have offsets.
// The scale of the first ones is the step.
struct Q8_0 {
    static constexpr int block = 32, bytes = 34, group = 32;
    static constexpr bool has_offsets = false;
    static void unpack(const uint8_t * b, Unpacked & u) {
        u.steps[0] = half_at(b);
        std::memcpy(u.integers, b + 2, 32);
    }
};

struct Q4_0 {
    static constexpr int block = 32, bytes = 18, group = 32;
    static constexpr bool has_offsets = false;
    static void unpack(const uint8_t * b, Unpacked & u) {
        u.steps[0] = half_at(b);
        unpack_nibbles<16, 8>(b + 2, u.integers);
    }
};

struct Q4_1 {
    static constexpr int block = 32, bytes = 20, group = 32;
    static constexpr bool has_offsets = true;
    static void unpack(const uint8_t * b, Unpacked & u) {
        u.steps[0] = half_at(b);
        u.offsets[0] = half_at(b + 2);
        unpack_nibbles<16>(b + 4, u.integers);
    }
};

// Numbers of 5 bits, less `bias`: the lower 4 of 32 numbers, and one more of each.
template <int bias> void unpack_5_bits(const uint8_t * bytes, uint32_t high, int8_t * to) {
    for (int i = 0; i < 16; i++) to[i] = static_cast<int8_t>(((bytes[i] & 15) | (high >> i & 1) << 4) - bias);
    for (int i = 0; i < 16; i++) to[16 + i] = static_cast<int8_t>((bytes[i] >> 4 | (high >> (16 + i) & 1) << 4) - bias);
}

struct Q5_0 {
    static constexpr int block = 32, bytes = 22, group = 32;
    static constexpr bool has_offsets = false;
    static void unpack(const uint8_t * b, Unpacked & u) {
        u.steps[0] = half_at(b);
        unpack_5_bits<16>(b + 6, word_at(b + 2), u.integers);
    }
};

struct Q5_1 {
    static constexpr int block = 32, bytes = 24, group = 32;
    static constexpr bool has_offsets = true;
    static void unpack(const uint8_t * b, Unpacked & u) {
        u.steps[0] = half_at(b);
        u.offsets[0] = half_at(b + 2);
        unpack_5_bits<0>(b + 8, word_at(b + 4), u.integers);
    }
};

// K-quants: blocks of 256 numbers in groups whose scales are integers times a scale of the block.
struct Q2_K {
    static constexpr int block = 256, bytes = 84, group = 16;
    static constexpr bool has_offsets = true;
    static void unpack(const uint8_t * b, Unpacked & u) {
        const float scale = half_at(b + 80), least = half_at(b + 82);
        for (int g = 0; g < 16; g++) {
            u.steps[g] = scale * static_cast<float>(b[g] & 15);
            u.offsets[g] = -(least * static_cast<float>(b[g] >> 4));
        }
        for (int half = 0; half < 2; half++) {
            const uint8_t * q = b + 16 + 32 * half;
            for (int part = 0; part < 4; part++) {
                int8_t * to = u.integers + 128 * half + 32 * part;
                for (int i = 0; i < 32; i++) to[i] = static_cast<int8_t>(q[i] >> 2 * part & 3);
            }
        }
    }
};

struct Q3_K {
    static constexpr int block = 256, bytes = 110, group = 16;
    static constexpr bool has_offsets = false;
    static void unpack(const uint8_t * b, Unpacked & u) {
        const uint8_t * scales = b + 96;
        const float scale = half_at(b + 108);
        for (int g = 0; g < 16; g++) {
            const int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4, high = scales[8 + g % 4] >> g / 4 * 2 & 3;
            u.steps[g] = scale * static_cast<float>((low | high << 4) - 32);
        }
        for (int part = 0; part < 8; part++) {
            const uint8_t * q = b + 32 + 32 * (part / 4);
            int8_t * to = u.integers + 32 * part;
            for (int i = 0; i < 32; i++) {
                to[i] = static_cast<int8_t>((q[i] >> part % 4 * 2 & 3) + (b[i] >> part & 1) * 4 - 4);
            }
        }
    }
};

// The steps and offsets of q4_K and q5_K: 6 bits each.
inline void unpack_scales(const uint8_t * b, Unpacked & u) {
    const float scale = half_at(b), least = half_at(b + 2);
    const uint8_t * s = b + 4;
    for (int g = 0; g < 8; g++) {
        const int step = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | s[g - 4] >> 6 << 4;
        const int offset = g < 4 ? s[g + 4] & 63 : s[g + 4] >> 4 | s[g] >> 6 << 4;
        u.steps[g] = scale * static_cast<float>(step);
        u.offsets[g] = -(least * static_cast<float>(offset));
    }
}

struct Q4_K {
    static constexpr int block = 256, bytes = 144, group = 32;
    static constexpr bool has_offsets = true;
    static void unpack(const uint8_t * b, Unpacked & u) {
        unpack_scales(b, u);
        for (int i = 0; i < 4; i++) unpack_nibbles<32>(b + 16 + 32 * i, u.integers + 64 * i);
    }
};

struct Q5_K {
    static constexpr int block = 256, bytes = 176, group = 32;
    static constexpr bool has_offsets = true;
    static void unpack(const uint8_t * b, Unpacked & u) {
        unpack_scales(b, u);
        for (int i = 0; i < 4; i++) unpack_nibbles<32>(b + 48 + 32 * i, u.integers + 64 * i);
        const uint8_t * high = b + 16;
        for (int g = 0; g < 8; g++) {
            int8_t * to = u.integers + 32 * g;
            for (int i = 0; i < 32; i++) to[i] = static_cast<int8_t>(to[i] | (high[i] >> g & 1) << 4);
        }
    }
};

struct Q6_K {
    static constexpr int block = 256, bytes = 210, group = 16;
    static constexpr bool has_offsets = false;
    static void unpack(const uint8_t * b, Unpacked & u) {
        const float scale = half_at(b + 208);
        for (int g = 0; g < 16; g++) u.steps[g] = scale * static_cast<float>(static_cast<int8_t>(b[192 + g]));
        for (int half = 0; half < 2; half++) {
            int8_t * to = u.integers + 128 * half;
            unpack_nibbles<64>(b + 64 * half, to);
            const uint8_t * high = b + 128 + 32 * half;
            for (int part = 0; part < 4; part++) {
                int8_t * numbers = to + 32 * part;
                for (int i = 0; i < 32; i++) {
                    numbers[i] = static_cast<int8_t>((numbers[i] | (high[i] >> 2 * part & 3) << 4) - 32);
                }
            }
        }
    }
};

// Formats whose 4 bits are indexes of this table.
alignas(16) constexpr int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};

struct Iq4Nl {
    static constexpr int block = 32, bytes = 18, group = 32;
    static constexpr bool has_offsets = false;
    static void unpack(const uint8_t * b, Unpacked & u) {
        u.steps[0] = half_at(b);
        look_up_nibbles(iq4_values, b + 2, u.integers);
    }
};

struct Iq4Xs {
    static constexpr int block = 256, bytes = 136, group = 32;
    static constexpr bool has_offsets = false;
    static void unpack(const uint8_t * b, Unpacked & u) {
        const float scale = half_at(b);
        const int high = b[2] | b[3] << 8;
        for (int g = 0; g < 8; g++) {
            const int step = (b[4 + g / 2] >> g % 2 * 4 & 15) | (high >> 2 * g & 3) << 4;
            u.steps[g] = scale * static_cast<float>(step - 32);
        }
        for (int g = 0; g < 8; g++) look_up_nibbles(iq4_values, b + 8 + 16 * g, u.integers + 32 * g);
    }
};

template <typename Format> void decode_block(const uint8_t * from, float * to) {
    Unpacked u;
    Format::unpack(from, u);
    for (int at = 0; at < Format::block; at += Format::group) {
        const int g = at / Format::group;
        const Vec step = splat(u.steps[g]);
        for (int i = at; i < at + Format::group; i += vector_width) {
            Vec x = mul(from_integers(u.integers + i), step);
            // Rounded twice, as by ggml.
            if constexpr (Format::has_offsets) x = add(rounded(x), splat(u.offsets[g]));
            store(to + i, x);
        }
    }
}

template <typename Format> void decode_blocks(const uint8_t * data, int64_t first, int64_t count, float * values) {
    constexpr int64_t block = Format::block;
    const uint8_t * from = data + first / block * Format::bytes;
    for (int64_t skipped = first % block; count > 0; skipped = 0, from += Format::bytes) {
        const int64_t n = least(block - skipped, count);
        if (n == block) {
            decode_block<Format>(from, values);
        } else {
            float numbers[block];
            decode_block<Format>(from, numbers);
            std::memcpy(values, numbers + skipped, n * sizeof(float));
        }
        values += n, count -= n;
    }
}

void decode_halves(const uint8_t * data, int64_t first, int64_t count, float * values) {
    const auto * half = reinterpret_cast<const Half *>(data) + first;
    int64_t i = 0;
    for (; i + vector_width <= count; i += vector_width) store(values + i, from_half(half + i));
    for (; i < count; i++) values[i] = half_at(data + (first + i) * 2);
}

void decode_brains(const uint8_t * data, int64_t first, int64_t count, float * values) {
    for (int64_t i = 0; i < count; i++) {
        Brain bits;
        std::memcpy(&bits, data + (first + i) * 2, sizeof bits);
        values[i] = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }
}

void decode_floats(const uint8_t * data, int64_t first, int64_t count, float * values) {
    std::memcpy(values, data + first * 4, count * sizeof(float));
}

Decode decoder(ggml_type type) {
    switch (type) {
        case GGML_TYPE_F32: return decode_floats;
        case GGML_TYPE_F16: return decode_halves;
        case GGML_TYPE_BF16: return decode_brains;
        case GGML_TYPE_Q8_0: return decode_blocks<Q8_0>;
        case GGML_TYPE_Q6_K: return decode_blocks<Q6_K>;
        case GGML_TYPE_Q5_K: return decode_blocks<Q5_K>;
        case GGML_TYPE_Q5_1: return decode_blocks<Q5_1>;
        case GGML_TYPE_Q5_0: return decode_blocks<Q5_0>;
        case GGML_TYPE_Q4_K: return decode_blocks<Q4_K>;
        case GGML_TYPE_Q4_1: return decode_blocks<Q4_1>;
        case GGML_TYPE_Q4_0: return decode_blocks<Q4_0>;
        case GGML_TYPE_IQ4_NL: return decode_blocks<Iq4Nl>;
        case GGML_TYPE_IQ4_XS: return decode_blocks<Iq4Xs>;
        case GGML_TYPE_Q3_K: return decode_blocks<Q3_K>;
        case GGML_TYPE_Q2_K: return decode_blocks<Q2_K>;
        default: return nullptr;
    }
}

} // namespace
} // namespace diffusion
