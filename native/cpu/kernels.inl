// The kernels of one instruction set; each of kernels_*.cc compiles them for another and names the table.
#include <cmath>

#include "cpu/kernels.h"
#include "cpu/simd.h"

#include "cpu/kernels_product.inl"

#include "cpu/kernels_norm.inl"

#include "cpu/kernels_attention.inl"

namespace diffusion {
namespace {

constexpr Kernels table(const char * name) {
    return {name,         depth == 2 ? GGML_TYPE_BF16 : GGML_TYPE_F32,
            sizeof(Operand), depth,        panel,       tile_rows,   panel_size, pack_scratch,      pack,
            product,      group_sums,   group_factors, prepare_line, layer_norm, attention_scratch, pack_head,
            attention};
}

} // namespace
} // namespace diffusion
