// See unet.h. Names and structure are those of the original checkpoints (`model.diffusion_model.*`).
#include "model/unet.h"

#include <algorithm>
#include <optional>

#include "model/source.h"

namespace diffusion {

namespace {

constexpr float residual_eps = 1e-5f;
constexpr float transformer_eps = 1e-6f;
constexpr int64_t most_stages = 64; // in either list
constexpr int64_t most_levels = 16;
constexpr int64_t most_transformers = 32;

const std::string prefix = unet_prefix;

const std::string inputs_name = prefix + "input_blocks.";
const std::string outputs_name = prefix + "output_blocks.";
const std::string middle_name = prefix + "middle_block.";
const std::string first_name = inputs_name + "0.0";

bool has_conv(const WeightBinder & weights, const std::string & name) {
    return weights.has(name + ".weight") || weights.has(name + ".bias");
}

UnetStage read_residual_stage(const WeightBinder & weights, const std::string & name) {
    UnetStage stage;
    stage.name = name;
    stage.residual = true;
    stage.channels = weights.conv_channels(name + "0.out_layers.3");
    stage.transformers = weights.count(name + "1.transformer_blocks.");
    return stage;
}

std::vector<UnetStage> read_inputs(const WeightBinder & weights) {
    std::vector<UnetStage> stages;
    for (const int64_t i : weights.indices(inputs_name)) {
        if (i == 0) continue;
        const std::string name = inputs_name + std::to_string(i) + ".", downsampler = name + "0.op";
        if (has_conv(weights, downsampler)) {
            stages.push_back({name, weights.conv_channels(downsampler), false, 0, downsampler});
        } else {
            stages.push_back(read_residual_stage(weights, name));
        }
    }
    return stages;
}

// A distilled UNet may keep the numbers that its teacher's blocks have: then some are missing, and an upsampling stands alone
// in the place of its level's last block.
std::vector<UnetStage> read_outputs(const WeightBinder & weights) {
    std::vector<UnetStage> stages;
    for (const int64_t i : weights.indices(outputs_name)) {
        const std::string name = outputs_name + std::to_string(i) + ".";
        const std::string upsampler = name + (has_conv(weights, name + "1.conv") ? "1.conv" : "2.conv");
        const bool upsamples = has_conv(weights, upsampler);
        const bool alone = upsamples && weights.indices(name).size() == 1 && !stages.empty();
        if (!alone) stages.push_back(read_residual_stage(weights, name));
        if (upsamples) stages.back().resampler = upsampler;
    }
    return stages;
}

[[noreturn]] void fail(ErrorCode code, const std::string & what) {
    throw Error(code, "This is not a UNet that this package runs: " + what + ".");
}

void check_channels(const UnetConfig & c, int64_t channels, const std::string & place) {
    if (channels % group_count != 0) {
        fail(ErrorCode::model_unsupported, place + " has " + std::to_string(channels) +
                                               " channels, not a multiple of " + std::to_string(group_count));
    }
    if (c.head_size > 0 ? channels % c.head_size != 0 : channels % c.heads != 0) {
        fail(ErrorCode::model_unsupported,
             place + " has " + std::to_string(channels) + " channels, which do not divide into attention heads");
    }
}

// Every output block joins what an input block of the same level left behind.
void check_levels(const UnetConfig & c) {
    if (c.outputs.size() != c.inputs.size() + 1) {
        fail(ErrorCode::model_incomplete, "it has " + std::to_string(c.inputs.size() + 1) + " input blocks and " +
                                              std::to_string(c.outputs.size()) + " output blocks");
    }
    std::vector<int64_t> skips = {0};
    for (const UnetStage & stage : c.inputs) skips.push_back(skips.back() + (stage.resampler.empty() ? 0 : 1));
    int64_t level = skips.back();
    if (level > most_levels) fail(ErrorCode::model_unsupported, "it has more than 16 levels");
    for (const UnetStage & stage : c.outputs) {
        const int64_t joined = skips.back();
        skips.pop_back();
        if (joined != level || (!stage.resampler.empty() && skips.empty())) {
            fail(ErrorCode::model_unsupported, "its upsampling does not mirror its downsampling");
        }
        if (!stage.resampler.empty()) level = skips.back();
    }
}

void check(const UnetConfig & c) {
    check_channels(c, c.model_channels, "its first convolution");
    int64_t transformers = c.middle_transformers;
    for (const auto * list : {&c.inputs, &c.outputs}) {
        for (const UnetStage & stage : *list) {
            check_channels(c, stage.channels, "a block");
            transformers = std::max(transformers, stage.transformers);
        }
    }
    if (transformers > most_transformers) fail(ErrorCode::model_unsupported, "a block has more than 32 transformers");
    check_levels(c);
}

} // namespace

struct Unet::ResBlock {
    Norm norm1, norm2;
    Conv2d conv1, conv2;
    Linear time;
    std::optional<Linear> skip; // where the number of channels changes
};

struct Unet::TransformerBlock {
    Norm norm1, norm2, norm3;
    struct Attention {
        Linear q, k, v, out;
    } self, cross;
    Linear gated, out; // GEGLU and its projection
};

struct Unet::SpatialTransformer {
    Norm norm;
    Linear in, out;
    int64_t heads;
    std::vector<TransformerBlock> blocks;
};

struct Unet::Stage {
    std::optional<ResBlock> residual;
    std::optional<SpatialTransformer> transformer;
    std::optional<Conv2d> downsample;
    std::optional<Conv2d> upsample;
};

int64_t UnetConfig::downsampling() const {
    const auto n =
        std::count_if(inputs.begin(), inputs.end(), [](const UnetStage & s) { return !s.resampler.empty(); });
    return int64_t{1} << n;
}

UnetConfig Unet::read_config(const WeightBinder & weights) {
    UnetConfig c;
    c.in_channels = weights.size(first_name + ".weight", 2);
    c.model_channels = weights.conv_channels(first_name);
    c.out_channels = weights.conv_channels(prefix + "out.2");
    c.vector_size = weights.size(prefix + "label_emb.0.0.weight", 0);
    c.guidance_size = weights.size(prefix + "time_embed.cond_proj.weight", 0);
    if (std::max(weights.count(inputs_name), weights.count(outputs_name)) > most_stages) {
        fail(ErrorCode::model_unsupported, "it has more than 64 input or output blocks");
    }
    c.inputs = read_inputs(weights);
    c.outputs = read_outputs(weights);
    const std::vector<int64_t> middle = weights.indices(middle_name);
    c.middle = !middle.empty();
    if (c.middle && middle != std::vector<int64_t>{0}) {
        c.middle_transformers = std::max<int64_t>(weights.count(middle_name + "1.transformer_blocks."), 1);
    }
    for (const auto & tensor : weights.table().tensors()) {
        if (tensor.name.rfind(prefix, 0) != 0) continue;
        const auto ends_with = [&](const std::string & suffix) {
            return tensor.name.size() >= suffix.size() &&
                   tensor.name.compare(tensor.name.size() - suffix.size(), suffix.size(), suffix) == 0;
        };
        if (ends_with(".attn2.to_k.weight")) c.context_size = weights.size(tensor.name, 0);
        // SD 1 projects with 1x1 convolutions and has 8 heads; SD 2 and SDXL project with matrices and have heads of 64.
        if (ends_with(".proj_in.weight") && tensor.n_dims == 2) c.head_size = 64;
    }
    check(c);
    return c;
}

Unet::ResBlock Unet::bind_residual(WeightBinder & weights, const std::string & p, int64_t in, int64_t out) const {
    ResBlock block;
    block.norm1 = weights.norm(p + "in_layers.0", in);
    block.conv1 = weights.conv(p + "in_layers.2", in, out, 3);
    block.time = weights.linear(p + "emb_layers.1", config_.model_channels * 4, out);
    block.norm2 = weights.norm(p + "out_layers.0", out);
    block.conv2 = weights.conv(p + "out_layers.3", out, out, 3);
    if (in != out) block.skip = weights.linear(p + "skip_connection", in, out);
    return block;
}

Unet::SpatialTransformer Unet::bind_transformer(WeightBinder & weights, const std::string & p, int64_t channels,
                                                int64_t depth) const {
    SpatialTransformer result;
    result.heads = config_.head_size > 0 ? channels / config_.head_size : config_.heads;
    result.norm = weights.norm(p + "norm", channels);
    result.in = weights.linear(p + "proj_in", channels, channels);
    const auto bind_attention = [&](const std::string & name, int64_t context) {
        return TransformerBlock::Attention{weights.linear(name + "to_q", channels, channels, false),
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
        block.cross = bind_attention(b + "attn2.", config_.context_size);
        block.norm3 = weights.norm(b + "norm3", channels);
        block.gated = weights.linear(b + "ff.net.0.proj", channels, channels * 8);
        block.out = weights.linear(b + "ff.net.2", channels * 4, channels);
        result.blocks.push_back(block);
    }
    result.out = weights.linear(p + "proj_out", channels, channels);
    return result;
}

Unet::Stage Unet::bind_stage(WeightBinder & weights, const UnetStage & s, int64_t in) const {
    Stage stage;
    if (s.residual) stage.residual = bind_residual(weights, s.name + "0.", in, s.channels);
    if (s.transformers) stage.transformer = bind_transformer(weights, s.name + "1.", s.channels, s.transformers);
    return stage;
}

Unet::Unet(WeightBinder & weights, const UnetConfig & config) : config_(config) {
    const int64_t base = config.model_channels;
    time1_ = weights.linear(prefix + "time_embed.0", base, base * 4);
    time2_ = weights.linear(prefix + "time_embed.2", base * 4, base * 4);
    if (config.vector_size) {
        vector1_ = weights.linear(prefix + "label_emb.0.0", config.vector_size, base * 4);
        vector2_ = weights.linear(prefix + "label_emb.0.2", base * 4, base * 4);
    }
    if (config.guidance_size) {
        guidance_ = weights.linear(prefix + "time_embed.cond_proj", config.guidance_size, base, false);
    }
    first_ = weights.conv(first_name, config.in_channels, base, 3);

    int64_t channels = base;
    std::vector<int64_t> skips = {base};
    for (const UnetStage & s : config.inputs) {
        Stage stage = bind_stage(weights, s, channels);
        if (!s.resampler.empty()) stage.downsample = weights.conv(s.resampler, channels, s.channels, 3);
        inputs_.push_back(stage);
        skips.push_back(channels = s.channels);
    }

    if (config.middle) {
        const int64_t depth = config.middle_transformers;
        middle_.push_back(bind_stage(weights, {middle_name, channels, true, depth, ""}, channels));
        if (depth) {
            Stage last;
            last.residual = bind_residual(weights, middle_name + "2.", channels, channels);
            middle_.push_back(last);
        }
    }

    for (const UnetStage & s : config.outputs) {
        Stage stage = bind_stage(weights, s, channels + skips.back());
        skips.pop_back();
        if (!s.resampler.empty()) stage.upsample = weights.conv(s.resampler, s.channels, s.channels, 3);
        outputs_.push_back(stage);
        channels = s.channels;
    }
    last_norm_ = weights.norm(prefix + "out.0", channels);
    last_ = weights.conv(prefix + "out.2", channels, config.out_channels, 3);
}

Unet::~Unet() = default;

Tensor Unet::embedding(Graph & graph, const Inputs & in) const {
    ggml_context * ctx = graph.context();
    constexpr int max_period = 10000;
    Tensor t = ggml_timestep_embedding(ctx, in.timesteps, static_cast<int>(config_.model_channels), max_period);
    if (config_.guidance_size) t = ggml_add(ctx, t, linear(graph, guidance_, in.guidance));
    // Every residual block starts from the activated embedding.
    Finish activated;
    activated.activation = Activation::silu;
    activated.for_products = true;
    t = linear(graph, time1_, t, activated);
    if (!config_.vector_size) return linear(graph, time2_, t, activated);
    Finish added;
    added.residual = linear(graph, vector2_, linear(graph, vector1_, in.vector, activated));
    return ggml_silu(ctx, linear(graph, time2_, t, added));
}

Tensor Unet::residual(Graph & graph, const ResBlock & block, Tensor x, Tensor time) const {
    Finish first, second;
    first.image_bias = linear(graph, block.time, time);
    Tensor y = norm_conv2d(graph, block.norm1, residual_eps, block.conv1, x, first);
    second.residual = block.skip ? pointwise(graph, *block.skip, x) : x;
    return norm_conv2d(graph, block.norm2, residual_eps, block.conv2, y, second);
}

Tensor Unet::transformer(Graph & graph, const SpatialTransformer & block, Tensor x, Tensor context) const {
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
        const auto attend = [&](const TransformerBlock::Attention & a, Tensor queries, Tensor keys) {
            Tensor y =
                attention(graph, linear(graph, a.q, queries, for_products), linear(graph, a.k, keys, for_products),
                          linear(graph, a.v, keys, for_products), block.heads);
            add_to_tokens(a.out, y);
        };
        Tensor y = layer_norm(graph, b.norm1, tokens);
        attend(b.self, y, y);
        attend(b.cross, layer_norm(graph, b.norm2, tokens), context);
        add_to_tokens(b.out, linear(graph, b.gated, layer_norm(graph, b.norm3, tokens), gated));
    }
    return add_tokens(graph, block.out, tokens, x);
}

Tensor Unet::stage(Graph & graph, const Stage & stage, Tensor x, Tensor time, Tensor context) const {
    if (stage.residual) x = residual(graph, *stage.residual, x, time);
    if (stage.transformer) x = transformer(graph, *stage.transformer, x, context);
    if (stage.downsample) x = conv2d(graph, *stage.downsample, x, {Sampling::half});
    return x;
}

Tensor Unet::build(Graph & graph, const Inputs & in) const {
    Tensor time = embedding(graph, in), context = in.context;
    Tensor x = conv2d(graph, first_, to_image(graph, in.latent));
    std::vector<Tensor> skips = {x};
    for (const Stage & s : inputs_) skips.push_back(x = stage(graph, s, x, time, context));
    for (const Stage & s : middle_) x = stage(graph, s, x, time, context);
    for (const Stage & s : outputs_) {
        x = stage(graph, s, concat(graph, x, skips.back()), time, context);
        skips.pop_back();
        if (!s.upsample) continue;
        // A level with an odd side was rounded up on the way down, so the size comes from what waits to be joined.
        const Tensor next = skips.back();
        x = conv2d(graph, *s.upsample, x, {Sampling::resized, image_width(graph, next), image_height(graph, next)});
    }
    return from_image(graph, norm_conv2d(graph, last_norm_, residual_eps, last_, x));
}

} // namespace diffusion
