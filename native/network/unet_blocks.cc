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

Tensor UnetBlock::build(Graph & graph, Tensor x, Tensor time, Tensor context, SelfAttention self) const {
    if (residual_) x = build_residual(graph, *residual_, x, time);
    if (transformer_) x = build_transformer(graph, *transformer_, x, context, self);
    return x;
}

Tensor UnetBlock::build_residual(Graph & graph, const Residual & block, Tensor x, Tensor time) {
    Finish first, second;
    first.image_bias = linear(graph, block.time, time);
    Tensor y = norm_conv2d(graph, block.norm1, unet_norm_eps, block.conv1, x, first);
    second.residual = block.skip ? pointwise(graph, *block.skip, x) : x;
    return norm_conv2d(graph, block.norm2, unet_norm_eps, block.conv2, y, second);
}

Tensor UnetBlock::build_transformer(Graph & graph, const Transformer & block, Tensor x, Tensor context,
                                    SelfAttention self) {
    Tensor tokens = linear(graph, block.in, norm_tokens(graph, block.norm, transformer_eps, x));
    const auto add_to_tokens = [&](const Linear & layer, Tensor y) {
        Finish finish;
        finish.residual = tokens;
        tokens = linear(graph, layer, y, finish);
    };
    Finish for_products, gated;
    for_products.for_products = gated.for_products = true;
    gated.activation = Activation::gated_gelu;
    for (const TransformerBlock & b : block.blocks) {
        const auto attend = [&](const Attention & a, Tensor queries, Tensor keys) {
            Tensor y =
                attention(graph, linear(graph, a.q, queries, for_products), linear(graph, a.k, keys, for_products),
                          linear(graph, a.v, keys, for_products), block.heads);
            add_to_tokens(a.out, y);
        };
        Tensor y = layer_norm(graph, b.norm1, tokens);
        if (self == SelfAttention::identity) {
            add_to_tokens(b.self.out, linear(graph, b.self.v, y, for_products));
        } else {
            attend(b.self, y, y);
        }
        attend(b.cross, layer_norm(graph, b.norm2, tokens), context);
        add_to_tokens(b.out, linear(graph, b.gated, layer_norm(graph, b.norm3, tokens), gated));
    }
    return add_tokens(graph, block.out, tokens, x);
}

} // namespace diffusion
