// See unet_encoder.h.
#include "network/unet_encoder.h"

#include <algorithm>

#include "names/names.h"

namespace diffusion {

namespace {

constexpr int64_t most_stages = 64; // input blocks, and output blocks
constexpr int64_t most_levels = 16;
constexpr int64_t most_transformers = 32;

bool is_downsampling(const UnetStage & stage) {
    return !stage.resampler.empty();
}

std::vector<UnetStage> read_inputs(const WeightBinder & weights, const std::string & prefix) {
    std::vector<UnetStage> stages;
    for (const int64_t i : weights.indices(prefix)) {
        if (i == 0) continue;
        const std::string name = prefix + std::to_string(i) + ".", downsampler = name + "0.op";
        if (has_conv(weights, downsampler)) {
            stages.push_back({name, weights.conv_channels(downsampler), false, 0, downsampler});
        } else {
            stages.push_back(read_residual_stage(weights, name));
        }
    }
    return stages;
}

void check_channels(const UnetEncoderConfig & c, int64_t channels, const std::string & place) {
    const std::string found = place + " has " + std::to_string(channels) + " channels, ";
    if (channels % group_count != 0) {
        refuse_unet(c, ErrorCode::model_unsupported, found + "not a multiple of " + std::to_string(group_count));
    }
    if (c.head_size > 0 ? channels % c.head_size != 0 : channels % c.heads != 0) {
        refuse_unet(c, ErrorCode::model_unsupported, found + "which cannot be divided into attention heads");
    }
}

void check_depth(const UnetEncoderConfig & c, int64_t transformers) {
    if (transformers > most_transformers) {
        refuse_unet(c, ErrorCode::model_unsupported, "a block has more than 32 transformers");
    }
}

} // namespace

int64_t UnetEncoderConfig::downsampling() const {
    return int64_t{1} << std::count_if(inputs.begin(), inputs.end(), is_downsampling);
}

std::vector<int64_t> UnetEncoderConfig::skip_channels() const {
    std::vector<int64_t> channels = {model_channels};
    for (const UnetStage & stage : inputs) channels.push_back(stage.channels);
    return channels;
}

void refuse_unet(const UnetEncoderConfig & config, ErrorCode code, const std::string & what) {
    const std::string noun = config.prefix == unet_prefix ? "UNet" : "ControlNet";
    throw Error(code, "This " + noun + " is not supported: " + what + ".");
}

UnetStage read_residual_stage(const WeightBinder & weights, const std::string & name) {
    UnetStage stage;
    stage.name = name;
    stage.residual = true;
    stage.channels = weights.conv_channels(name + "0.out_layers.3");
    stage.transformers = weights.count(name + "1.transformer_blocks.");
    return stage;
}

bool has_conv(const WeightBinder & weights, const std::string & name) {
    return weights.has(name + ".weight") || weights.has(name + ".bias");
}

void check_unet_stage(const UnetEncoderConfig & config, const UnetStage & stage) {
    check_channels(config, stage.channels, "a block");
    check_depth(config, stage.transformers);
}

int64_t read_context_size(const WeightBinder & weights, const std::string & prefix) {
    int64_t size = 0;
    for (const auto & tensor : weights.table().tensors()) {
        const bool takes_context = tensor.name.starts_with(prefix) && tensor.name.ends_with(".attn2.to_k.weight");
        if (takes_context) size = weights.inputs(tensor.name);
    }
    return size;
}

UnetEncoderConfig UnetEncoder::read_config(const WeightBinder & weights, const std::string & prefix,
                                           int64_t head_size) {
    const std::string first = prefix + "input_blocks.0.0", middle_name = prefix + "middle_block.";
    UnetEncoderConfig c;
    c.prefix = prefix;
    c.in_channels = weights.size(first + ".weight", 2);
    c.model_channels = weights.conv_channels(first);
    c.vector_size = weights.inputs(prefix + "label_emb.0.0.weight");
    c.guidance_size = weights.inputs(prefix + "time_embed.cond_proj.weight");
    c.context_size = read_context_size(weights, prefix);
    c.head_size = head_size;
    if (std::max(weights.count(prefix + "input_blocks."), weights.count(prefix + "output_blocks.")) > most_stages) {
        refuse_unet(c, ErrorCode::model_unsupported, "it has more than 64 input or output blocks");
    }
    c.inputs = read_inputs(weights, prefix + "input_blocks.");
    const std::vector<int64_t> middle = weights.indices(middle_name);
    c.middle = !middle.empty();
    if (c.middle && middle != std::vector<int64_t>{0}) {
        c.middle_transformers = std::max<int64_t>(weights.count(middle_name + "1.transformer_blocks."), 1);
    }
    check_channels(c, c.model_channels, "its first convolution");
    for (const UnetStage & stage : c.inputs) check_unet_stage(c, stage);
    check_depth(c, c.middle_transformers);
    if (std::count_if(c.inputs.begin(), c.inputs.end(), is_downsampling) > most_levels) {
        refuse_unet(c, ErrorCode::model_unsupported, "it has more than 16 levels");
    }
    return c;
}

UnetEncoder::UnetEncoder(WeightBinder & weights, const UnetEncoderConfig & config) : config_(config) {
    const std::string & prefix = config.prefix;
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
    first_ = weights.conv(prefix + "input_blocks.0.0", config.in_channels, base, 3);

    int64_t channels = base;
    for (const UnetStage & s : config.inputs) {
        Stage stage{UnetBlock(weights, config, s, channels), {}};
        if (is_downsampling(s)) stage.downsample = weights.conv(s.resampler, channels, s.channels, 3);
        inputs_.push_back(stage);
        channels = s.channels;
    }
    if (!config.middle) return;
    const std::string name = prefix + "middle_block.";
    const int64_t depth = config.middle_transformers;
    middle_.emplace_back(weights, config, UnetStage{name, channels, true, depth, ""}, channels);
    if (depth) middle_.emplace_back(weights, config, name + "2.", channels);
}

Tensor UnetEncoder::embedding(Layers & layers, const Inputs & in) const {
    ggml_context * ctx = layers.context();
    constexpr int max_period = 10000;
    Tensor t = ggml_timestep_embedding(ctx, in.timesteps, static_cast<int>(config_.model_channels), max_period);
    if (config_.guidance_size) t = ggml_add(ctx, t, layers.linear(guidance_, in.guidance));
    // All residual blocks use the activated embedding.
    Epilogue activated;
    activated.activation = Activation::silu;
    activated.for_gemm = true;
    t = layers.linear(time1_, t, activated);
    if (!config_.vector_size) return layers.linear(time2_, t, activated);
    Epilogue added;
    added.residual = layers.linear(vector2_, layers.linear(vector1_, in.vector, activated));
    return ggml_silu(ctx, layers.linear(time2_, t, added));
}

UnetEncoder::Result UnetEncoder::build(Layers & layers, const Inputs & in, Tensor hint) const {
    Result result;
    result.time = embedding(layers, in);
    Tensor x = layers.conv2d(first_, layers.to_image(in.latent));
    if (hint) x = layers.expand(ggml_add(layers.context(), x, hint));
    result.skips = {x};
    for (const Stage & s : inputs_) {
        x = s.block.build(layers, x, result.time, in.context);
        if (s.downsample) x = layers.conv2d(*s.downsample, x, {Geometry::strided});
        result.skips.push_back(x);
    }
    for (const UnetBlock & block : middle_) x = block.build(layers, x, result.time, in.context, in.middle);
    result.middle = x;
    return result;
}

} // namespace diffusion
