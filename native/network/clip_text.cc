// See clip_text.h.
#include "network/clip_text.h"

#include <algorithm>

namespace diffusion {

namespace {

constexpr int64_t head_size = 64;
constexpr int64_t most_layers = 128;

// The text encoder of SD 1 is OpenAI's of width 768; the wider ones in use are OpenCLIP's.
constexpr int64_t open_clip_width = 1024;

// Layers of SD 2's text encoder as OpenCLIP publishes it. diffusers leaves the last one out, which is never used.
constexpr int64_t sd2_layers = 24;

std::string layer_name(const std::string & prefix, int64_t i) {
    return prefix + "encoder.layers." + std::to_string(i) + ".";
}

// The projection is beside the text model.
std::string projection_name(std::string prefix) {
    constexpr std::string_view root = "text_model.";
    return prefix.erase(prefix.size() - root.size()) + "text_projection";
}

} // namespace

ClipTextConfig ClipText::read_config(const WeightBinder & weights, const ClipTextUse & use) {
    ClipTextConfig c;
    const std::string & prefix = use.prefix;
    const std::string tokens = prefix + "embeddings.token_embedding.weight";
    c.width = weights.size(tokens, 0);
    c.vocabulary = weights.size(tokens, 1);
    c.positions = weights.size(prefix + "embeddings.position_embedding.weight", 1);
    c.layers = weights.count(prefix + "encoder.layers.");
    c.intermediate = weights.size(layer_name(prefix, 0) + "mlp.fc1.weight", 1);
    c.heads = c.width / head_size;
    c.open_clip = use.open_clip || c.width >= open_clip_width;
    c.last_norm = !use.xl;
    const std::string projection = projection_name(prefix);
    const bool transposed = weights.has(projection);
    if (use.xl || (c.open_clip && (transposed || c.layers == sd2_layers)))
        c.clip_skip = std::min<int64_t>(2, std::max<int64_t>(c.layers, 1));
    if (use.pooled) c.projection = transposed ? weights.size(projection, 0) : weights.size(projection + ".weight", 1);
    if (c.width % head_size != 0 || c.layers > most_layers) {
        throw Error(ErrorCode::model_unsupported,
                    "Expected a CLIP text encoder with a width that is a multiple of " + std::to_string(head_size) +
                        " and at most " + std::to_string(most_layers) + " layers, found a width of " +
                        std::to_string(c.width) + " and " + std::to_string(c.layers) + " layers.");
    }
    return c;
}

ClipText::ClipText(WeightBinder & weights, const ClipTextUse & use) : config_(read_config(weights, use)) {
    const int64_t d = config_.width, f = config_.intermediate;
    const std::string & prefix = use.prefix;
    token_embedding_ = weights.lookup(prefix + "embeddings.token_embedding.weight", {d, config_.vocabulary});
    position_embedding_ = weights.parameter(prefix + "embeddings.position_embedding.weight", {d, config_.positions});
    // A file without any layer lacks the first one.
    for (int64_t i = 0; i < std::max<int64_t>(config_.layers, 1); i++) {
        const std::string p = layer_name(prefix, i);
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
    if (!use.pooled) return;
    const std::string projection = projection_name(prefix);
    if (weights.has(projection)) {
        transposed_projection_ = weights.parameter(projection, {config_.projection, d});
    } else {
        projection_ = weights.weight(projection + ".weight", {d, config_.projection});
    }
}

Tensor ClipText::layer(Layers & layers, const Layer & l, Tensor x) const {
    Epilogue for_gemm, activated, added;
    for_gemm.for_gemm = activated.for_gemm = true;
    activated.activation = config_.open_clip ? Activation::gelu : Activation::quick_gelu;
    Tensor y = layers.layer_norm(l.norm1, x);
    y = layers.attention(layers.linear(l.q, y, for_gemm), layers.linear(l.k, y, for_gemm),
                         layers.linear(l.v, y, for_gemm), config_.heads, true);
    added.residual = x;
    added.residual = layers.linear(l.out, y, added);
    y = layers.linear(l.fc1, layers.layer_norm(l.norm2, added.residual), activated);
    return layers.linear(l.fc2, y, added);
}

// x: [width, positions, chunks] after the last layer.
Tensor ClipText::pool(Layers & layers, Tensor x, Tensor ends) const {
    ggml_context * ctx = layers.context();
    Tensor rows = ggml_get_rows(ctx, ggml_reshape_2d(ctx, x, x->ne[0], x->ne[1] * x->ne[2]), ends);
    rows = layers.layer_norm(final_norm_, rows, true);
    if (projection_) return layers.linear({projection_, nullptr}, rows);
    return ggml_mul_mat(ctx, ggml_cont(ctx, ggml_transpose(ctx, transposed_projection_)), rows);
}

Tensor ClipText::build(Layers & layers, const Inputs & in, int64_t clip_skip) const {
    ggml_context * ctx = layers.context();
    const int64_t positions = in.tokens->ne[0], chunks = in.tokens->ne[1];
    Tensor x = ggml_get_rows(ctx, token_embedding_, ggml_reshape_1d(ctx, in.tokens, positions * chunks));
    if (in.vectors) x = ggml_get_rows(ctx, ggml_concat(ctx, x, in.vectors, 1), in.places);
    x = ggml_add(ctx, ggml_reshape_3d(ctx, x, config_.width, positions, chunks), position_embedding_);
    const int64_t last = config_.layers - clip_skip;
    for (int64_t i = 0; i <= last; i++) x = layer(layers, layers_[i], x);
    Tensor hidden = config_.last_norm ? layers.layer_norm(final_norm_, x, true) : x;
    if (!config_.projection) return hidden;
    for (int64_t i = last + 1; i < config_.layers; i++) x = layer(layers, layers_[i], x);
    const auto row = [&](Tensor t) { return ggml_reshape_1d(ctx, t, ggml_nelements(t)); };
    return ggml_concat(ctx, row(hidden), row(pool(layers, x, in.ends)), 0);
}

} // namespace diffusion
