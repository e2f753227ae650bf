// The kernels for machines with AVX2.
#include "cpu/kernels.inl"

namespace diffusion {

extern const Kernels kernels_avx2 = table("AVX2");

} // namespace diffusion
