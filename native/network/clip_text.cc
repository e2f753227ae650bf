// See clip_text.h.
#include "network/clip_text.h"

#include <algorithm>

#include "network/model_facts.h"

namespace diffusion {

namespace {

constexpr int64_t head_size = 64;
constexpr int64_t most_layers = 128;

// SD 1's text encoder is OpenAI's, of width 768; the wider ones in use are OpenCLIP's.
constexpr int64_t open_clip_width = 1024;

// Layers of SD 2's text encoder as OpenCLIP publishes it. diffusers omits the last one, which is never used.
constexpr int64_t sd2_layers = 24;

std::string layer_name(const std::string & prefix, int64_t i) {
    return prefix + "encoder.layers." + std::to_string(i) + ".";
}

// The index, among all tokens, of each chunk's first end token: the highest id of CLIP's vocabulary. Tokens added by
// the model have higher ids.
std::vector<int32_t> first_ends(const std::vector<int32_t> & tokens, int64_t positions) {
    constexpr int32_t clip_vocabulary = 49408;
    const auto rank = [](int32_t id) { return id < clip_vocabulary ? id : -1; };
    std::vector<int32_t> ends;
    for (auto chunk = tokens.begin(); chunk != tokens.end(); chunk += positions) {
        const auto end = std::ranges::max_element(chunk, chunk + positions, {}, rank);
        ends.push_back(static_cast<int32_t>(end - tokens.begin()));
    }
    return ends;
}

// The projection is next to the text model, not inside it.
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
    // If there are no layers, binding the first one reports it as missing.
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

Signature ClipText::signature() const {
    const ClipTextConfig & c = config_;
    constexpr int64_t most_chunks = 4096;
    const Side chunks("chunks", 1, most_chunks);
    Signature s;
    s.inputs = {{"tokens", {chunks, c.positions}, false, GGML_TYPE_I32, c.vocabulary, "vectors"},
                {"vectors", {"vectors", c.width}, true}};
    s.outputs = {{"hidden", {chunks, c.positions, c.width}}};
    if (c.projection) s.outputs.push_back({"pooled", {chunks, c.projection}});
    s.settings = {{"clipSkip", 1, c.layers, c.clip_skip, ""}};
    return s;
}

// `tokens` with placeholders for ids of vectors; with vectors also `places`, each token's row among the embeddings of
// all tokens followed by the vectors; with a projection also `ends`.
Arrays ClipText::derived(const Arrays & inputs) const {
    const Array & given = inputs.at("tokens");
    std::vector<int32_t> tokens = std::get<std::vector<int32_t>>(given.values);
    const auto n = static_cast<int64_t>(tokens.size());
    Arrays derived;
    if (inputs.contains("vectors")) {
        std::vector<int32_t> places(tokens.size());
        for (size_t i = 0; i < tokens.size(); i++) {
            const bool is_vector = tokens[i] >= config_.vocabulary;
            places[i] = static_cast<int32_t>(is_vector ? n + tokens[i] - config_.vocabulary : static_cast<int64_t>(i));
            if (is_vector) tokens[i] = 0;
        }
        derived["places"] = {{n}, std::move(places)};
    }
    if (config_.projection) derived["ends"] = {{given.shape[0]}, first_ends(tokens, config_.positions)};
    derived["tokens"] = {given.shape, std::move(tokens)};
    return derived;
}

std::vector<Tensor> ClipText::build(Layers & layers, const Evaluation & evaluation) const {
    ggml_context * ctx = layers.context();
    const GraphInputs & in = evaluation.inputs;
    const Tensor tokens = in["tokens"], vectors = in["vectors"];
    const int64_t positions = tokens->ne[0], chunks = tokens->ne[1];
    Tensor x = ggml_get_rows(ctx, token_embedding_, ggml_reshape_1d(ctx, tokens, positions * chunks));
    if (vectors) x = ggml_get_rows(ctx, ggml_concat(ctx, x, vectors, 1), in["places"]);
    x = ggml_add(ctx, ggml_reshape_3d(ctx, x, config_.width, positions, chunks), position_embedding_);
    const int64_t last = config_.layers - evaluation.settings.at("clipSkip");
    for (int64_t i = 0; i <= last; i++) x = layer(layers, layers_[i], x);
    Tensor hidden = config_.last_norm ? layers.layer_norm(final_norm_, x, true) : x;
    if (!config_.projection) return {hidden};
    for (int64_t i = last + 1; i < config_.layers; i++) x = layer(layers, layers_[i], x);
    return {hidden, pool(layers, x, in["ends"])};
}

Config ClipText::config() const {
    const ClipTextConfig & c = config_;
    return {{"width", c.width},         {"layers", c.layers},         {"heads", c.heads},
            {"positions", c.positions}, {"vocabulary", c.vocabulary}, {"intermediate", c.intermediate},
            {"openClip", c.open_clip}};
}

void ClipText::describe(const std::string & name, ModelFacts & facts) const {
    const ClipTextConfig & c = config_;
    facts.text_encoders.push_back({name, c.open_clip ? "openclip" : "clip", c.positions, c.vocabulary, c.layers,
                                   c.width, c.projection, c.clip_skip});
}

} // namespace diffusion
