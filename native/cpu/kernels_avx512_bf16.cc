// The kernels for machines with AVX-512 BF16.
#include "cpu/kernels.inl"

namespace diffusion {

extern const Kernels kernels_avx512_bf16 = table("AVX-512 BF16");

} // namespace diffusion
