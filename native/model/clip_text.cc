// See clip_text.h.
#include "model/clip_text.h"

#include <algorithm>

#include "model/source.h"

namespace diffusion {

namespace {

constexpr int64_t head_size = 64;
constexpr int64_t most_layers = 128;

const std::string prefix = text_prefix;

std::string layer_name(int64_t i) {
    return prefix + "encoder.layers." + std::to_string(i) + ".";
}

} // namespace

ClipTextConfig ClipText::read_config(const WeightBinder & weights) {
    ClipTextConfig c;
    const std::string tokens = prefix + "embeddings.token_embedding.weight";
    c.width = weights.size(tokens, 0);
    c.vocabulary = weights.size(tokens, 1);
    c.positions = weights.size(prefix + "embeddings.position_embedding.weight", 1);
    c.layers = weights.count(prefix + "encoder.layers.");
    c.intermediate = weights.size(layer_name(0) + "mlp.fc1.weight", 1);
    c.heads = c.width / head_size;
    if (c.width % head_size != 0 || c.layers > most_layers) {
        throw Error(ErrorCode::model_unsupported,
                    "Expected a CLIP text encoder with a width that is a multiple of " + std::to_string(head_size) +
                        " and at most " + std::to_string(most_layers) + " layers, found a width of " +
                        std::to_string(c.width) + " and " + std::to_string(c.layers) + " layers.");
    }
    return c;
}

ClipText::ClipText(WeightBinder & weights, const ClipTextConfig & config) : config_(config) {
    const int64_t d = config.width, f = config.intermediate;
    token_embedding_ = weights.weight(prefix + "embeddings.token_embedding.weight", {d, config.vocabulary});
    position_embedding_ = weights.parameter(prefix + "embeddings.position_embedding.weight", {d, config.positions});
    // A file without any layer lacks the first one.
    for (int64_t i = 0; i < std::max<int64_t>(config.layers, 1); i++) {
        const std::string p = layer_name(i);
        Layer layer;
        layer.norm1 = weights.norm(p + "layer_norm1", d);
        layer.q = weights.linear(p + "self_attn.q_proj", d, d);
        layer.k = weights.linear(p + "self_attn.k_proj", d, d);
        layer.v = weights.linear(p + "self_attn.v_proj", d, d);
        layer.out = weights.linear(p + "self_attn.out_proj", d, d);
        layer.norm2 = weights.norm(p + "layer_norm2", d);
        layer.fc1 = weights.linear(p + "mlp.fc1", d, f);
        layer.fc2 = weights.linear(p + "mlp.fc2", f, d);
        layers_.push_back(layer);
    }
    final_norm_ = weights.norm(prefix + "final_layer_norm", d);
}

Tensor ClipText::layer(Graph & graph, const Layer & l, Tensor x) const {
    Finish for_products, activated, added;
    for_products.for_products = activated.for_products = true;
    activated.activation = Activation::quick_gelu;
    Tensor y = layer_norm(graph, l.norm1, x);
    y = attention(graph, linear(graph, l.q, y, for_products), linear(graph, l.k, y, for_products),
                  linear(graph, l.v, y, for_products), config_.heads, true);
    added.residual = x;
    added.residual = linear(graph, l.out, y, added);
    y = linear(graph, l.fc1, layer_norm(graph, l.norm2, added.residual), activated);
    return linear(graph, l.fc2, y, added);
}

Tensor ClipText::build(Graph & graph, Tensor tokens, int64_t clip_skip) const {
    ggml_context * ctx = graph.context();
    const int64_t positions = tokens->ne[0], chunks = tokens->ne[1];
    Tensor x = ggml_get_rows(ctx, token_embedding_, ggml_reshape_1d(ctx, tokens, positions * chunks));
    x = ggml_add(ctx, ggml_reshape_3d(ctx, x, config_.width, positions, chunks), position_embedding_);
    for (int64_t i = 0; i + clip_skip <= config_.layers; i++) x = layer(graph, layers_[i], x);
    return layer_norm(graph, final_norm_, x, true);
}

} // namespace diffusion
