// See unet_blocks.h. Names and structure are those of the original checkpoints.
#include "network/unet_blocks.h"

namespace diffusion {

namespace {

constexpr float transformer_eps = 1e-6f;

} // namespace

UnetBlock::UnetBlock(WeightBinder & weights, const UnetBlockSizes & sizes, const UnetStage & stage, int64_t in) {
    const int64_t channels = stage.channels;
    if (stage.residual) residual_ = bind_residual(weights, stage.name + "0.", in, channels, sizes.model_channels * 4);
    if (stage.transformers) {
        transformer_ = bind_transformer(weights, stage.name + "1.", sizes, channels, stage.transformers);
    }
}

UnetBlock::UnetBlock(WeightBinder & weights, const UnetBlockSizes & sizes, const std::string & prefix, int64_t channels)
    : residual_(bind_residual(weights, prefix, channels, channels, sizes.model_channels * 4)) {}

UnetBlock::Residual UnetBlock::bind_residual(WeightBinder & weights, const std::string & p, int64_t in, int64_t out,
                                             int64_t time) {
    Residual block;
    block.norm1 = weights.norm(p + "in_layers.0", in);
    block.conv1 = weights.conv(p + "in_layers.2", in, out, 3);
    block.time = weights.linear(p + "emb_layers.1", time, out);
    block.norm2 = weights.norm(p + "out_layers.0", out);
    block.conv2 = weights.conv(p + "out_layers.3", out, out, 3);
    if (in != out) block.skip = weights.linear(p + "skip_connection", in, out);
    return block;
}

UnetBlock::Transformer UnetBlock::bind_transformer(WeightBinder & weights, const std::string & p,
                                                   const UnetBlockSizes & sizes, int64_t channels, int64_t depth) {
    Transformer result;
    result.heads = sizes.head_size > 0 ? channels / sizes.head_size : sizes.heads;
    result.norm = weights.norm(p + "norm", channels);
    result.in = weights.linear(p + "proj_in", channels, channels);
    const auto bind_attention = [&](const std::string & name, int64_t context) {
        return Attention{weights.linear(name + "to_q", channels, channels, false),
                         weights.linear(name + "to_k", context, channels, false),
                         weights.linear(name + "to_v", context, channels, false),
                         weights.linear(name + "to_out.0", channels, channels)};
    };
    for (int64_t i = 0; i < depth; i++) {
        const std::string b = p + "transformer_blocks." + std::to_string(i) + ".";
        TransformerBlock block;
        block.norm1 = weights.norm(b + "norm1", channels);
        block.self = bind_attention(b + "attn1.", channels);
        block.norm2 = weights.norm(b + "norm2", channels);
        block.cross = bind_attention(b + "attn2.", sizes.context_size);
        block.norm3 = weights.norm(b + "norm3", channels);
        block.gated = weights.linear(b + "ff.net.0.proj", channels, channels * 8);
        block.out = weights.linear(b + "ff.net.2", channels * 4, channels);
        result.blocks.push_back(block);
    }
    result.out = weights.linear(p + "proj_out", channels, channels);
    return result;
}

Tensor UnetBlock::build(Layers & layers, Tensor x, Tensor time, Tensor context, SelfAttention self) const {
    if (residual_) x = build_residual(layers, *residual_, x, time);
    if (transformer_) x = build_transformer(layers, *transformer_, x, context, self);
    return x;
}

Tensor UnetBlock::build_residual(Layers & layers, const Residual & block, Tensor x, Tensor time) {
    Epilogue first, second;
    first.image_bias = layers.linear(block.time, time);
    Tensor y = layers.norm_conv2d(block.norm1, unet_norm_eps, block.conv1, x, first);
    second.residual = block.skip ? layers.pointwise(*block.skip, x) : x;
    return layers.norm_conv2d(block.norm2, unet_norm_eps, block.conv2, y, second);
}

Tensor UnetBlock::build_transformer(Layers & layers, const Transformer & block, Tensor x, Tensor context,
                                    SelfAttention self) {
    Tensor tokens = layers.linear(block.in, layers.norm_tokens(block.norm, transformer_eps, x));
    const auto add_to_tokens = [&](const Linear & layer, Tensor y) {
        Epilogue epilogue;
        epilogue.residual = tokens;
        tokens = layers.linear(layer, y, epilogue);
    };
    Epilogue for_gemm, gated;
    for_gemm.for_gemm = gated.for_gemm = true;
    gated.activation = Activation::gated_gelu;
    for (const TransformerBlock & b : block.blocks) {
        const auto attend = [&](const Attention & a, Tensor queries, Tensor keys) {
            Tensor y = layers.attention(layers.linear(a.q, queries, for_gemm), layers.linear(a.k, keys, for_gemm),
                                        layers.linear(a.v, keys, for_gemm), block.heads);
            add_to_tokens(a.out, y);
        };
        Tensor y = layers.layer_norm(b.norm1, tokens);
        if (self == SelfAttention::identity) {
            add_to_tokens(b.self.out, layers.linear(b.self.v, y, for_gemm));
        } else {
            attend(b.self, y, y);
        }
        attend(b.cross, layers.layer_norm(b.norm2, tokens), context);
        add_to_tokens(b.out, layers.linear(b.gated, layers.layer_norm(b.norm3, tokens), gated));
    }
    return layers.add_tokens(block.out, tokens, x);
}

} // namespace diffusion
