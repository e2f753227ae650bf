// See z_image.h. Names are those of the published single files, with queries, keys and values apart.
#include "network/z_image.h"

#include "names/names.h"
#include "network/model_facts.h"
#include "network/rotary_angles.h"

namespace diffusion {

namespace {

constexpr float eps = 1e-5f, last_eps = 1e-6f;
constexpr double theta = 256; // of the rotary embeddings
constexpr int64_t patch = 2;  // side of an image token in the latent
// Both sequences are filled up with a learned token, which all others attend to.
constexpr int64_t multiple = 32;
constexpr int64_t time_channels = 256, training_steps = 1000;
constexpr int64_t most_layers = 1024, most_tokens = 1 << 16;

const std::string prefix = unet_prefix;

int64_t padded(int64_t tokens) {
    return (tokens + multiple - 1) / multiple * multiple;
}

[[noreturn]] void refuse(const std::string & expected, const std::string & found) {
    throw Error(ErrorCode::model_unsupported,
                "Expected a denoiser of Z-Image with " + expected + ", found " + found + ".");
}

// One of `parts` vectors of equal length that a linear layer gives for each image.
Tensor part_of(ggml_context * ctx, Tensor x, int64_t i, int64_t parts) {
    const int64_t size = x->ne[0] / parts;
    return ggml_cont(ctx, ggml_view_2d(ctx, x, size, x->ne[1], x->nb[1], i * size * x->nb[0]));
}

// Tokens from `first` on, of all images. `x` is [channels, tokens, batch].
Tensor tokens_of(ggml_context * ctx, Tensor x, int64_t first, int64_t count) {
    if (count == x->ne[1]) return x;
    return ggml_cont(ctx, ggml_view_3d(ctx, x, x->ne[0], count, x->ne[2], x->nb[1], x->nb[2], first * x->nb[1]));
}

// Angles of a range of tokens.
Tensor angles_of(ggml_context * ctx, Tensor angles, int64_t first, int64_t count) {
    return ggml_view_3d(ctx, angles, angles->ne[0], 2, count, angles->nb[1], angles->nb[2], first * angles->nb[2]);
}

} // namespace

bool ZImage::is(const WeightBinder & weights) {
    return weights.has(prefix + "cap_embedder.1.weight") && weights.count(prefix + "noise_refiner.") > 0;
}

ZImageConfig ZImage::read_config(const WeightBinder & weights) {
    ZImageConfig c;
    const std::string first = prefix + "layers.0.";
    c.latent_channels = weights.size(prefix + "x_embedder.weight", 0) / (patch * patch);
    c.width = weights.size(prefix + "x_embedder.weight", 1);
    c.head_size = weights.size(first + "attention.q_norm.weight", 0);
    c.layers = weights.count(prefix + "layers.");
    c.noise_refiners = weights.count(prefix + "noise_refiner.");
    c.context_refiners = weights.count(prefix + "context_refiner.");
    c.intermediate = weights.size(first + "feed_forward.w1.weight", 1);
    c.context_size = weights.size(prefix + "cap_embedder.1.weight", 0);
    c.time_size = weights.size(prefix + "t_embedder.mlp.2.weight", 1);
    c.time_hidden = weights.size(prefix + "t_embedder.mlp.0.weight", 1);
    const int64_t most = std::max({c.layers, c.noise_refiners, c.context_refiners});
    if (most > most_layers) refuse("at most " + std::to_string(most_layers) + " layers", std::to_string(most));
    // A quarter of a head's channels is for the first axis, three eighths for each of the others.
    if (c.head_size % 16 != 0 || (c.head_size > 0 && c.width % c.head_size != 0)) {
        refuse("heads of a multiple of 16 channels that make up its width",
               "heads of " + std::to_string(c.head_size) + " and a width of " + std::to_string(c.width));
    }
    return c;
}

ZImage::ZImage(WeightBinder & weights, const ZImageConfig & c) : config_(c) {
    const std::string & p = prefix;
    const int64_t channels = c.latent_channels * patch * patch;
    time1_ = weights.linear(p + "t_embedder.mlp.0", time_channels, c.time_hidden);
    time2_ = weights.linear(p + "t_embedder.mlp.2", c.time_hidden, c.time_size);
    image_in_ = weights.linear(p + "x_embedder", channels, c.width);
    text_norm_.weight = weights.parameter(p + "cap_embedder.0.weight", {c.context_size});
    text_in_ = weights.linear(p + "cap_embedder.1", c.context_size, c.width);
    image_pad_ = weights.parameter(p + "x_pad_token", {c.width});
    text_pad_ = weights.parameter(p + "cap_pad_token", {c.width});
    noise_refiners_ = bind_blocks(weights, p + "noise_refiner.", c.noise_refiners, true);
    context_refiners_ = bind_blocks(weights, p + "context_refiner.", c.context_refiners, false);
    layers_ = bind_blocks(weights, p + "layers.", c.layers, true);
    last_modulation_ = weights.linear(p + "final_layer.adaLN_modulation.1", c.time_size, c.width);
    last_ = weights.linear(p + "final_layer.linear", c.width, channels);
    weights.tolerate(p + "norm_final."); // of Lumina-Image, whose code reads such files too
}

std::vector<ZImage::Block> ZImage::bind_blocks(WeightBinder & weights, const std::string & p, int64_t count,
                                               bool modulated) const {
    std::vector<Block> blocks;
    for (int64_t i = 0; i < count; i++) blocks.push_back(bind_block(weights, p + std::to_string(i) + ".", modulated));
    return blocks;
}

ZImage::Block ZImage::bind_block(WeightBinder & weights, const std::string & p, bool modulated) const {
    const ZImageConfig & c = config_;
    const auto linear = [&](const char * name, int64_t in, int64_t out) {
        return weights.linear(p + name, in, out, false);
    };
    const auto norm = [&](const char * name) { return weights.parameter(p + name, {c.width}); };
    Block block;
    block.attention_norm1.weight = norm("attention_norm1.weight");
    block.attention_norm2.weight = norm("attention_norm2.weight");
    block.ffn_norm1.weight = norm("ffn_norm1.weight");
    block.ffn_norm2.weight = norm("ffn_norm2.weight");
    block.q = linear("attention.to_q", c.width, c.width);
    block.k = linear("attention.to_k", c.width, c.width);
    block.v = linear("attention.to_v", c.width, c.width);
    block.q_norm = weights.parameter(p + "attention.q_norm.weight", {c.head_size});
    block.k_norm = weights.parameter(p + "attention.k_norm.weight", {c.head_size});
    block.out = linear("attention.out", c.width, c.width);
    block.w1 = linear("feed_forward.w1", c.width, c.intermediate);
    block.w2 = linear("feed_forward.w2", c.intermediate, c.width);
    block.w2.wide = true;
    block.w3 = linear("feed_forward.w3", c.width, c.intermediate);
    if (modulated) block.modulation = weights.linear(p + "adaLN_modulation.0", c.time_size, 4 * c.width);
    return block;
}

Tensor ZImage::block(Layers & layers, const Block & b, Tensor x, Tensor time, Tensor angles) const {
    ggml_context * ctx = layers.context();
    const Rotation rotation{angles, Rotation::neighbours};
    Modulation scale1, gate1, scale2, gate2;
    if (b.modulation.weight) {
        const Tensor all = layers.linear(b.modulation, time);
        scale1.factor = ggml_scale_bias(ctx, part_of(ctx, all, 0, 4), 1, 1);
        gate1.factor = ggml_tanh(ctx, part_of(ctx, all, 1, 4));
        scale2.factor = ggml_scale_bias(ctx, part_of(ctx, all, 2, 4), 1, 1);
        gate2.factor = ggml_tanh(ctx, part_of(ctx, all, 3, 4));
    }
    Epilogue for_gemm, gated;
    for_gemm.for_gemm = gated.for_gemm = true;
    Tensor y = layers.token_norm(NormKind::rms, b.attention_norm1, x, eps, scale1, false);
    Tensor q = layers.turn_heads(b.q_norm, eps, rotation, layers.linear(b.q, y));
    Tensor k = layers.turn_heads(b.k_norm, eps, rotation, layers.linear(b.k, y));
    y = layers.attention(q, k, layers.linear(b.v, y, for_gemm), config_.width / config_.head_size);
    gate1.residual = x;
    x = layers.token_norm(NormKind::rms, b.attention_norm2, layers.linear(b.out, y), eps, gate1, true);
    y = layers.token_norm(NormKind::rms, b.ffn_norm1, x, eps, scale2, false);
    gated.activation = Activation::silu;
    gated.factor = layers.linear(b.w3, y);
    y = layers.linear(b.w2, layers.linear(b.w1, y, gated));
    gate2.residual = x;
    return layers.expand(layers.token_norm(NormKind::rms, b.ffn_norm2, y, eps, gate2, true));
}

// The network's time is 0 at noise.
Tensor ZImage::embed_time(Layers & layers, Tensor timesteps) const {
    constexpr int longest_period = 10000;
    ggml_context * ctx = layers.context();
    Tensor time = ggml_scale_bias(ctx, timesteps, -1, training_steps);
    time = ggml_timestep_embedding(ctx, time, time_channels, longest_period);
    Epilogue activated;
    activated.activation = Activation::silu;
    return layers.linear(time2_, layers.linear(time1_, time, activated));
}

Tensor ZImage::with_pads(Layers & layers, Tensor x, Tensor pad) const {
    const int64_t pads = padded(x->ne[1]) - x->ne[1];
    if (pads == 0) return x;
    ggml_context * ctx = layers.context();
    Tensor rows = ggml_repeat_4d(ctx, ggml_reshape_3d(ctx, pad, pad->ne[0], 1, 1), pad->ne[0], pads, x->ne[2], 1);
    return layers.expand(ggml_concat(ctx, x, rows, 1));
}

// [width, height, channels, batch] -> [patch * patch * channels, tokens, batch]; channels vary fastest within a token,
// then columns, then rows.
Tensor ZImage::to_tokens(Layers & layers, Tensor latent) const {
    ggml_context * ctx = layers.context();
    const int64_t width = latent->ne[0] / patch, height = latent->ne[1] / patch, batch = latent->ne[3];
    Tensor y = ggml_cont(ctx, ggml_permute(ctx, latent, 1, 2, 0, 3)); // [channels, width, height, batch]
    y = ggml_reshape_4d(ctx, y, patch * config_.latent_channels, width, patch, height * batch);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 0, 2, 1, 3));
    return layers.expand(ggml_reshape_3d(ctx, y, patch * patch * config_.latent_channels, width * height, batch));
}

// `width` and `height` of the latent.
Tensor ZImage::from_tokens(Layers & layers, Tensor tokens, int64_t width, int64_t height) const {
    ggml_context * ctx = layers.context();
    const int64_t channels = config_.latent_channels, batch = tokens->ne[2];
    Tensor y = ggml_reshape_4d(ctx, tokens, patch * channels, patch, width / patch, height / patch * batch);
    y = ggml_cont(ctx, ggml_permute(ctx, y, 0, 2, 1, 3));
    y = ggml_reshape_4d(ctx, y, channels, width, height, batch);
    return layers.expand(ggml_cont(ctx, ggml_permute(ctx, y, 2, 0, 1, 3)));
}

Signature ZImage::signature() const {
    const ZImageConfig & c = config_;
    const Side height("height", patch), width("width", patch);
    Signature s;
    s.inputs = {{"latent", {"batch", c.latent_channels, height, width}},
                {"timesteps", {"batch"}},
                {"context", {"batch", {"tokens", 1, most_tokens}, c.context_size}}};
    s.outputs = {{"prediction", {"batch", c.latent_channels, height, width}}};
    s.settings = {
        {"identityAttention", 0, 0, 0, "Z-Image has no middle block whose self-attention could be perturbed."}};
    return s;
}

// The positions of tokens have three axes. Text counts along the first, pads included. All of the image is at the next
// place there; its pads are at the origin.
Arrays ZImage::derived(const Arrays & inputs) const {
    const auto & latent = inputs.at("latent").shape;
    const int64_t height = latent[2] / patch, width = latent[3] / patch;
    const int64_t text = padded(inputs.at("context").shape[1]);
    const int64_t eighth = config_.head_size / 8;
    RotaryAngles angles({2 * eighth, 3 * eighth, 3 * eighth}, theta, Rotation::neighbours);
    for (int64_t row = 0; row < height; row++) {
        for (int64_t column = 0; column < width; column++) angles.add({text + 1, row, column});
    }
    for (int64_t i = height * width; i < padded(height * width); i++) angles.add({0, 0, 0});
    for (int64_t i = 0; i < text; i++) angles.add({i + 1, 0, 0});
    return {{"angles", angles.take()}};
}

std::vector<Tensor> ZImage::build(Layers & layers, const Evaluation & evaluation) const {
    ggml_context * ctx = layers.context();
    const GraphInputs & in = evaluation.inputs;
    const Tensor latent = in["latent"], angles = in["angles"];
    const Tensor time = embed_time(layers, in["timesteps"]);

    Tensor image = layers.linear(image_in_, to_tokens(layers, latent));
    const int64_t n_image = image->ne[1];
    image = with_pads(layers, image, image_pad_);
    const Tensor image_angles = angles_of(ctx, angles, 0, image->ne[1]);
    for (const Block & b : noise_refiners_) image = block(layers, b, image, time, image_angles);

    Tensor text = layers.token_norm(NormKind::rms, text_norm_, in["context"], eps, {}, false);
    text = with_pads(layers, layers.linear(text_in_, text), text_pad_);
    const Tensor text_angles = angles_of(ctx, angles, image->ne[1], text->ne[1]);
    for (const Block & b : context_refiners_) text = block(layers, b, text, time, text_angles);

    Tensor x = layers.expand(ggml_concat(ctx, image, text, 1));
    for (const Block & b : layers_) x = block(layers, b, x, time, angles);

    Modulation scale;
    scale.factor = ggml_scale_bias(ctx, layers.linear(last_modulation_, ggml_silu(ctx, time)), 1, 1);
    x = layers.token_norm(NormKind::layer, {}, tokens_of(ctx, x, 0, n_image), last_eps, scale, false);
    Epilogue negated; // the network gives image minus noise
    negated.scale = -1;
    return {from_tokens(layers, layers.linear(last_, x, negated), latent->ne[0], latent->ne[1])};
}

Config ZImage::config() const {
    const ZImageConfig & c = config_;
    return {{"inChannels", c.latent_channels},
            {"outChannels", c.latent_channels},
            {"width", c.width},
            {"heads", c.head_size ? c.width / c.head_size : 0},
            {"layers", c.layers},
            {"contextSize", c.context_size}};
}

void ZImage::describe(const std::string &, ModelFacts & facts) const {
    DenoiserFacts & d = facts.denoiser;
    d.in_channels = d.out_channels = config_.latent_channels;
    d.context_size = config_.context_size;
    d.latent_multiple = patch;
}

} // namespace diffusion
