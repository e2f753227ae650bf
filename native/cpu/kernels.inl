// The kernels of one instruction set; each kernels_*.cc compiles them for one set and names the table.
#include <cmath>

#include "cpu/kernels.h"
#include "cpu/simd.h"
#include "cpu/transpose.h"

#include "cpu/kernels_decode.inl"

#include "cpu/kernels_gemm.inl"

#include "cpu/kernels_pack.inl"

#include "cpu/kernels_product.inl"

#include "cpu/kernels_winograd.inl"

#include "cpu/kernels_norm.inl"

#include "cpu/kernels_attention.inl"

#include "cpu/kernels_store.inl"

namespace diffusion {
namespace {

constexpr Kernels table(const char * name) {
    Kernels k{};
    k.name = name;
    k.operand = kr == 2 ? GGML_TYPE_BF16 : GGML_TYPE_F32;
    k.operand_size = sizeof(Operand);
    k.mr = mr;
    k.nr = nr;
    k.kr = kr;
    k.panel_size = panel_size;
    k.pack_scratch = pack_scratch;
    k.decoder = decoder;
    k.pack = pack;
    k.gemm = gemm;
    k.add_product = add_product;
    k.winograd_input = winograd_input;
    k.winograd_pack = winograd_pack;
    k.winograd_gemm = winograd_gemm;
    k.group_sums = group_sums;
    k.group_factors = group_factors;
    k.prepare_line = prepare_line;
    k.token_norm = token_norm;
    k.turn_heads = turn_heads;
    k.packed_head_bytes = packed_head_bytes;
    k.attention_scratch = attention_scratch;
    k.pack_keys = pack_keys;
    k.attention = attention;
    k.store_block = store_block;
    k.load_block = load_block;
    return k;
}

} // namespace
} // namespace diffusion
