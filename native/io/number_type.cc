// The list of number types, and those that ggml does not convert to f32.
#include "io/number_type.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace diffusion {

namespace {

template <typename T> void widen_as(const void * from, float * to, int64_t n) {
    const auto * bytes = static_cast<const uint8_t *>(from);
    for (int64_t i = 0; i < n; i++) {
        T value;
        std::memcpy(&value, bytes + i * sizeof value, sizeof value);
        to[i] = static_cast<float>(value);
    }
}

void copy_floats(const void * from, float * to, int64_t n) {
    std::memcpy(to, from, n * sizeof(float));
}

// The meaning of an 8-bit float's highest exponents, and of its negative zero.
enum class Float8 {
    ieee, // infinities and NaN
    fn,   // finite numbers; NaN if all bits except the sign are set
    fnuz, // finite numbers; NaN in place of negative zero
};

// https://arxiv.org/abs/2209.05433 and, for fnuz, https://arxiv.org/abs/2206.02915
template <Float8 form> float float8_value(uint8_t bits, int mantissa_bits, int bias) {
    const int mantissa = bits & ((1 << mantissa_bits) - 1), exponent = (bits & 0x7F) >> mantissa_bits;
    const float sign = bits & 0x80 ? -1.0f : 1.0f;
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    if (form == Float8::fnuz && bits == 0x80) return nan;
    if (form == Float8::fn && (bits & 0x7F) == 0x7F) return nan;
    if (form == Float8::ieee && exponent == 0x7F >> mantissa_bits) {
        return mantissa ? nan : sign * std::numeric_limits<float>::infinity();
    }
    const int implicit = exponent > 0 ? 1 << mantissa_bits : 0;
    return sign * std::ldexp(static_cast<float>(implicit + mantissa), std::max(exponent, 1) - bias - mantissa_bits);
}

template <Float8 form, int mantissa_bits, int bias> void widen_float8(const void * from, float * to, int64_t n) {
    static const std::array<float, 256> values = [] {
        std::array<float, 256> table{};
        for (int i = 0; i < 256; i++) table[i] = float8_value<form>(static_cast<uint8_t>(i), mantissa_bits, bias);
        return table;
    }();
    const auto * bytes = static_cast<const uint8_t *>(from);
    for (int64_t i = 0; i < n; i++) to[i] = values[bytes[i]];
}

constexpr NumberKind floating = NumberKind::floating, integer = NumberKind::integer, other = NumberKind::other;

constexpr NumberType other_types[] = {
    {"f8_e4m3", floating, 1, 1, GGML_TYPE_COUNT, widen_float8<Float8::fn, 3, 7>},
    {"f8_e5m2", floating, 1, 1, GGML_TYPE_COUNT, widen_float8<Float8::ieee, 2, 15>},
    {"f8_e4m3fnuz", floating, 1, 1, GGML_TYPE_COUNT, widen_float8<Float8::fnuz, 3, 8>},
    {"f8_e5m2fnuz", floating, 1, 1, GGML_TYPE_COUNT, widen_float8<Float8::fnuz, 2, 16>},
    {"u8", integer, 1, 1, GGML_TYPE_COUNT, widen_as<uint8_t>},
    {"u16", integer, 1, 2, GGML_TYPE_COUNT, widen_as<uint16_t>},
    {"u32", integer, 1, 4, GGML_TYPE_COUNT, widen_as<uint32_t>},
    {"u64", integer, 1, 8, GGML_TYPE_COUNT, widen_as<uint64_t>},
    {"bool", integer, 1, 1, GGML_TYPE_COUNT, widen_as<uint8_t>},
    {"f8_e8m0", other, 1, 1, GGML_TYPE_COUNT, nullptr}, // only used for scales
    {"f6_e2m3", other, 4, 3, GGML_TYPE_COUNT, nullptr},
    {"f6_e3m2", other, 4, 3, GGML_TYPE_COUNT, nullptr},
    {"f4", other, 2, 1, GGML_TYPE_COUNT, nullptr},
    {"c64", other, 1, 8, GGML_TYPE_COUNT, nullptr},
    {"c128", other, 1, 16, GGML_TYPE_COUNT, nullptr},
    {"bytes", other, 1, 1, GGML_TYPE_COUNT, nullptr}, // PyTorch's untyped storage
};

NumberType of_ggml(ggml_type type) {
    static std::array<std::string, GGML_TYPE_COUNT> names;
    std::string & name = names[type];
    name = ggml_type_name(type) ? ggml_type_name(type) : "";
    if (name.ends_with("_K")) name.back() = 'k';
    NumberType result{name, other, ggml_blck_size(type), ggml_type_size(type), type, nullptr};
    const auto set = [&](NumberKind kind, ggml_to_float_t widen) { result.kind = kind, result.widen = widen; };
    switch (type) {
        case GGML_TYPE_F32: set(floating, copy_floats); break;
        case GGML_TYPE_F64: set(floating, widen_as<double>); break;
        case GGML_TYPE_I8: set(integer, widen_as<int8_t>); break;
        case GGML_TYPE_I16: set(integer, widen_as<int16_t>); break;
        case GGML_TYPE_I32: set(integer, widen_as<int32_t>); break;
        case GGML_TYPE_I64: set(integer, widen_as<int64_t>); break;
        default: {
            const ggml_to_float_t widen = ggml_get_type_traits(type)->to_float;
            if (widen && result.block <= largest_block) set(floating, widen);
        }
    }
    return result;
}

const std::array<NumberType, GGML_TYPE_COUNT> & ggml_types() {
    static const auto types = [] {
        std::array<NumberType, GGML_TYPE_COUNT> all{};
        for (int i = 0; i < GGML_TYPE_COUNT; i++) all[i] = of_ggml(static_cast<ggml_type>(i));
        return all;
    }();
    return types;
}

} // namespace

const NumberType & number_type(ggml_type type) {
    return ggml_types().at(type);
}

const NumberType * find_number_type(std::string_view name) {
    const auto named = [&](const NumberType & type) { return type.name == name; };
    const auto found = std::ranges::find_if(other_types, named);
    if (found != std::end(other_types)) return found;
    const auto known = std::ranges::find_if(ggml_types(), named);
    return known == ggml_types().end() || known->block == 0 ? nullptr : &*known;
}

} // namespace diffusion
