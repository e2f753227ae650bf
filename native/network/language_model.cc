// See language_model.h. Names are those of transformers after `language_prefix`.
#include "network/language_model.h"

#include <algorithm>

#include "io/file_error.h"
#include "names/names.h"
#include "network/model_facts.h"
#include "network/rotary_angles.h"

namespace diffusion {

namespace {

constexpr float eps = 1e-6f;
constexpr double theta = 1e6; // of the rotary embeddings
constexpr int64_t most_layers = 1024, most_tokens = 1 << 16;

const std::string prefix = language_prefix;

std::string layer_name(int64_t i) {
    return prefix + "layers." + std::to_string(i) + ".";
}

[[noreturn]] void refuse(const std::string & found) {
    throw Error(ErrorCode::model_unsupported, "Expected the language model Qwen3, found one with " + found +
                                                  ". Pass the Qwen3 that the model was trained with.");
}

// Models that see images have the shapes of the others, and other angles in their rotary embeddings.
void refuse_relatives(const WeightBinder & weights) {
    const auto & tensors = weights.table().tensors();
    const auto sees = [](const StoredTensor & t) { return t.name.starts_with(prefix + "visual."); };
    if (std::ranges::any_of(tensors, sees)) refuse("a part that sees images, as Qwen3-VL has");
    const StoredTensor * embedding = weights.table().find(prefix + "embed_tokens.weight");
    if (!embedding) return;
    const auto & metadata = weights.table().files().at(static_cast<size_t>(embedding->file)).metadata;
    const auto architecture = metadata.find("general.architecture");
    if (architecture == metadata.end()) return;
    const std::string & name = architecture->second;
    if (name.starts_with("qwen") && name != "qwen3") refuse("the architecture " + quote(name));
}

} // namespace

LanguageModelConfig LanguageModel::read_config(const WeightBinder & weights) {
    refuse_relatives(weights);
    LanguageModelConfig c;
    const std::string first = layer_name(0);
    c.width = weights.size(prefix + "embed_tokens.weight", 0);
    c.vocabulary = weights.size(prefix + "embed_tokens.weight", 1);
    c.layers = weights.count(prefix + "layers.");
    c.head_size = weights.size(first + "self_attn.q_norm.weight", 0);
    c.intermediate = weights.size(first + "mlp.gate_proj.weight", 1);
    if (c.layers < 1) refuse("no layers");
    if (c.layers > most_layers) refuse(std::to_string(c.layers) + " layers");
    if (c.width < 1) refuse("no token embedding");
    if (weights.has(first + "self_attn.q_proj.bias")) refuse("biases in its attention, as Qwen2.5 has");
    if (c.head_size < 1) refuse("no norms of its queries and keys");
    const int64_t queries = weights.size(first + "self_attn.q_proj.weight", 1);
    const int64_t keys = weights.size(first + "self_attn.k_proj.weight", 1);
    c.heads = queries / c.head_size;
    c.key_heads = keys / c.head_size;
    const bool whole = c.heads * c.head_size == queries && c.key_heads * c.head_size == keys && c.head_size % 2 == 0;
    if (!whole || c.key_heads < 1 || c.heads % c.key_heads != 0) {
        refuse("queries of " + std::to_string(queries) + " and keys of " + std::to_string(keys) +
               " channels for heads of " + std::to_string(c.head_size));
    }
    return c;
}

LanguageModel::LanguageModel(WeightBinder & weights, const LanguageModelConfig & config, int64_t unused)
    : config_(config) {
    embedding_ = weights.lookup(prefix + "embed_tokens.weight", {config.width, config.vocabulary});
    for (int64_t i = 0; i < config.layers - unused; i++) layers_.push_back(bind_layer(weights, layer_name(i)));
    for (int64_t i = config.layers - unused; i < config.layers; i++) weights.tolerate(layer_name(i));
    // What predicts the next token.
    for (const char * name : {"norm.", "lm_head."}) weights.tolerate(prefix + name);
}

LanguageModel::Layer LanguageModel::bind_layer(WeightBinder & weights, const std::string & p) const {
    const LanguageModelConfig & c = config_;
    const int64_t queries = c.heads * c.head_size, keys = c.key_heads * c.head_size;
    const auto linear = [&](const char * name, int64_t in, int64_t out) {
        return weights.linear(p + name, in, out, false);
    };
    Layer layer;
    layer.norm1.weight = weights.parameter(p + "input_layernorm.weight", {c.width});
    layer.q = linear("self_attn.q_proj", c.width, queries);
    layer.k = linear("self_attn.k_proj", c.width, keys);
    layer.v = linear("self_attn.v_proj", c.width, keys);
    layer.q_norm = weights.parameter(p + "self_attn.q_norm.weight", {c.head_size});
    layer.k_norm = weights.parameter(p + "self_attn.k_norm.weight", {c.head_size});
    layer.out = linear("self_attn.o_proj", queries, c.width);
    layer.norm2.weight = weights.parameter(p + "post_attention_layernorm.weight", {c.width});
    layer.gate = linear("mlp.gate_proj", c.width, c.intermediate);
    layer.up = linear("mlp.up_proj", c.width, c.intermediate);
    layer.down = linear("mlp.down_proj", c.intermediate, c.width);
    layer.down.wide = true;
    return layer;
}

Tensor LanguageModel::layer(Layers & layers, const Layer & l, Tensor x, const Rotation & rotation) const {
    Epilogue for_gemm, added, gated;
    for_gemm.for_gemm = true;
    Tensor y = layers.token_norm(NormKind::rms, l.norm1, x, eps, {}, false);
    Tensor q = layers.turn_heads(l.q_norm, eps, rotation, layers.linear(l.q, y));
    Tensor k = layers.turn_heads(l.k_norm, eps, rotation, layers.linear(l.k, y));
    y = layers.attention(q, k, layers.linear(l.v, y, for_gemm), config_.heads, true);
    added.residual = x;
    added.residual = layers.linear(l.out, y, added);
    y = layers.token_norm(NormKind::rms, l.norm2, added.residual, eps, {}, false);
    gated.activation = Activation::silu;
    gated.factor = layers.linear(l.up, y);
    gated.for_gemm = true;
    return layers.linear(l.down, layers.linear(l.gate, y, gated), added);
}

Signature LanguageModel::signature() const {
    constexpr int64_t most_texts = 64;
    const Side texts("texts", 1, most_texts), tokens("tokens", 1, most_tokens);
    Signature s;
    s.inputs = {{"tokens", {texts, tokens}, false, GGML_TYPE_I32, config_.vocabulary}};
    s.outputs = {{"hidden", {texts, tokens, config_.width}}};
    return s;
}

Arrays LanguageModel::derived(const Arrays & inputs) const {
    RotaryAngles angles({config_.head_size}, theta, Rotation::halves);
    const int64_t tokens = inputs.at("tokens").shape[1];
    for (int64_t i = 0; i < tokens; i++) angles.add({i});
    return {{"angles", angles.take()}};
}

std::vector<Tensor> LanguageModel::build(Layers & layers, const Evaluation & evaluation) const {
    ggml_context * ctx = layers.context();
    const Tensor tokens = evaluation.inputs["tokens"];
    const int64_t length = tokens->ne[0], texts = tokens->ne[1];
    Tensor x = ggml_get_rows(ctx, embedding_, ggml_reshape_1d(ctx, tokens, length * texts));
    x = ggml_reshape_3d(ctx, x, config_.width, length, texts);
    const Rotation rotation{evaluation.inputs["angles"], Rotation::halves};
    for (const Layer & l : layers_) x = layer(layers, l, x, rotation);
    return {x};
}

Config LanguageModel::config() const {
    const LanguageModelConfig & c = config_;
    return {{"width", c.width},        {"layers", c.layers},         {"heads", c.heads},
            {"keyHeads", c.key_heads}, {"vocabulary", c.vocabulary}, {"intermediate", c.intermediate}};
}

void LanguageModel::describe(const std::string & name, ModelFacts & facts) const {
    const LanguageModelConfig & c = config_;
    facts.text_encoders.push_back({name, "qwen3", most_tokens, c.vocabulary, c.layers, c.width, 0, 1});
}

} // namespace diffusion
