// The kernels for machines with AVX-512.
#include "cpu/kernels.inl"

namespace diffusion {

extern const Kernels kernels_avx512 = table("AVX-512");

} // namespace diffusion
