// Chooses kernels by the processor's features (CPUID).
#include "cpu/kernels.h"

#if defined(__x86_64__) || defined(_M_X64)

#include <cstdint>

#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace diffusion {

extern const Kernels kernels_avx512_bf16, kernels_avx512, kernels_avx2;

namespace {

struct Registers {
    uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers identify(uint32_t leaf, uint32_t part) {
    Registers r;
#ifdef _MSC_VER
    int values[4];
    __cpuidex(values, static_cast<int>(leaf), static_cast<int>(part));
    r = {static_cast<uint32_t>(values[0]), static_cast<uint32_t>(values[1]), static_cast<uint32_t>(values[2]),
         static_cast<uint32_t>(values[3])};
#else
    __get_cpuid_count(leaf, part, &r.a, &r.b, &r.c, &r.d);
#endif
    return r;
}

// The registers that the operating system saves on a context switch (XCR0).
uint64_t saved_registers() {
#ifdef _MSC_VER
    return _xgetbv(0);
#else
    uint32_t low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low | static_cast<uint64_t>(high) << 32;
#endif
}

constexpr bool bit(uint32_t word, int i) {
    return (word >> i & 1) != 0;
}

struct Features {
    bool avx2 = false, avx512 = false, bf16 = false;

    Features() {
        const Registers basic = identify(1, 0);
        if (!bit(basic.c, 27)) return; // OSXSAVE: XGETBV is available
        const uint64_t saved = saved_registers();
        const Registers more = identify(7, 0), further = identify(7, 1);
        const bool fma = bit(basic.c, 12), f16c = bit(basic.c, 29);
        avx2 = (saved & 0x6) == 0x6 && fma && f16c && bit(more.b, 5);
        // F, DQ, BW and VL
        avx512 =
            avx2 && (saved & 0xe6) == 0xe6 && bit(more.b, 16) && bit(more.b, 17) && bit(more.b, 30) && bit(more.b, 31);
        bf16 = avx512 && bit(further.a, 5);
    }
};

} // namespace

std::vector<const Kernels *> available_kernels() {
    static const Features features;
    std::vector<const Kernels *> found;
    if (features.bf16) found.push_back(&kernels_avx512_bf16);
    if (features.avx512) found.push_back(&kernels_avx512);
    if (features.avx2) found.push_back(&kernels_avx2);
    return found;
}

} // namespace diffusion

#else

namespace diffusion {

std::vector<const Kernels *> available_kernels() {
    return {};
}

} // namespace diffusion

#endif

namespace diffusion {

const Kernels * find_kernels(ggml_type operand) {
    for (const Kernels * kernels : available_kernels()) {
        if (kernels->operand == operand) return kernels;
    }
    return nullptr;
}

} // namespace diffusion
