// See unet.h. Names and structure are those of the original checkpoints (`model.diffusion_model.*`).
#include "network/unet.h"

#include "network/control_net.h"
#include "network/model_facts.h"

#include "names/names.h"

namespace diffusion {

namespace {

const std::string prefix = unet_prefix;

// Widths of the text encoders' hidden states in SD 1 and SD 2.
constexpr int64_t sd1_context = 768, sd2_context = 1024;

// SD 2, SDXL and its refiner have heads of 64 channels, SD 1 has 8 heads of any size. Whether projections are stored as
// matrices or as 1x1 convolutions does not tell them apart, because converters change that.
int64_t read_head_size(const WeightBinder & weights, bool open_clip) {
    constexpr int64_t fixed = 64;
    if (weights.has(prefix + "label_emb.0.0.weight")) return fixed;
    const int64_t context = read_context_size(weights, prefix);
    if (context == sd1_context) return 0;
    return context >= sd2_context || open_clip ? fixed : 0;
}

// A distilled UNet may keep its teacher's block indices: then some are missing, and an upsampler may be the only layer
// of its level's last block.
std::vector<UnetStage> read_outputs(const WeightBinder & weights) {
    const std::string outputs = prefix + "output_blocks.";
    std::vector<UnetStage> stages;
    for (const int64_t i : weights.indices(outputs)) {
        const std::string name = outputs + std::to_string(i) + ".";
        const std::string upsampler = name + (has_conv(weights, name + "1.conv") ? "1.conv" : "2.conv");
        const bool upsamples = has_conv(weights, upsampler);
        const bool only_upsamples = upsamples && weights.indices(name).size() == 1 && !stages.empty();
        if (!only_upsamples) stages.push_back(read_residual_stage(weights, name));
        if (upsamples) stages.back().resampler = upsampler;
    }
    return stages;
}

// Every output block concatenates the skip connection of an input block of the same level.
void check_levels(const UnetConfig & c) {
    if (c.outputs.size() != c.inputs.size() + 1) {
        refuse_unet(c, ErrorCode::model_incomplete,
                    "it has " + std::to_string(c.inputs.size() + 1) + " input blocks and " +
                        std::to_string(c.outputs.size()) + " output blocks");
    }
    std::vector<int64_t> skips = {0};
    for (const UnetStage & stage : c.inputs) skips.push_back(skips.back() + (stage.resampler.empty() ? 0 : 1));
    int64_t level = skips.back();
    for (const UnetStage & stage : c.outputs) {
        const int64_t joined = skips.back();
        skips.pop_back();
        if (joined != level || (!stage.resampler.empty() && skips.empty())) {
            refuse_unet(c, ErrorCode::model_unsupported, "its upsampling does not mirror its downsampling");
        }
        if (!stage.resampler.empty()) level = skips.back();
    }
}

} // namespace

UnetConfig Unet::read_config(const WeightBinder & weights, bool open_clip) {
    UnetConfig c{UnetEncoder::read_config(weights, prefix, read_head_size(weights, open_clip)), 0, {}};
    c.out_channels = weights.conv_channels(prefix + "out.2");
    c.outputs = read_outputs(weights);
    for (const UnetStage & stage : c.outputs) check_unet_stage(c, stage);
    check_levels(c);
    return c;
}

Unet::Unet(WeightBinder & weights, const UnetConfig & config) : config_(config), encoder_(weights, config) {
    std::vector<int64_t> skips = config.skip_channels();
    int64_t channels = skips.back();
    for (const UnetStage & s : config.outputs) {
        Stage stage{UnetBlock(weights, config, s, channels + skips.back()), {}};
        skips.pop_back();
        if (!s.resampler.empty()) stage.upsample = weights.conv(s.resampler, s.channels, s.channels, 3);
        outputs_.push_back(stage);
        channels = s.channels;
    }
    last_norm_ = weights.norm(prefix + "out.0", channels);
    last_ = weights.conv(prefix + "out.2", channels, config.out_channels, 3);
}

Signature Unet::signature() const {
    const UnetConfig & c = config_;
    constexpr int64_t most_tokens = 1 << 20;
    Signature s;
    s.inputs = {{"latent", {"batch", c.in_channels, "height", "width"}},
                {"timesteps", {"batch"}},
                {"context", {"batch", {"tokens", 1, most_tokens}, c.context_size}}};
    if (c.vector_size) s.inputs.push_back({"vector", {"batch", c.vector_size}});
    if (c.guidance_size) s.inputs.push_back({"guidance", {"batch", c.guidance_size}});
    s.outputs = {{"prediction", {"batch", c.out_channels, "height", "width"}}};
    s.settings = {{"identityAttention", 0, c.middle_transformers > 0 ? 1 : 0, 0,
                   c.middle_transformers > 0
                       ? ""
                       : "The UNet of this model has no self-attention in its middle block to perturb."}};
    s.takes_controls = true;
    return s;
}

Config Unet::config() const {
    const UnetConfig & c = config_;
    std::vector<int64_t> channels;
    for (const UnetStage & stage : c.inputs) channels.push_back(stage.channels);
    return {{"inChannels", c.in_channels},      {"outChannels", c.out_channels}, {"modelChannels", c.model_channels},
            {"contextSize", c.context_size},    {"vectorSize", c.vector_size},   {"guidanceSize", c.guidance_size},
            {"downsampling", c.downsampling()}, {"blockChannels", channels}};
}

void Unet::describe(const std::string &, ModelFacts & facts) const {
    const UnetConfig & c = config_;
    facts.denoiser = {c.in_channels, c.out_channels,  c.context_size,
                      c.vector_size, c.guidance_size, c.middle_transformers > 0};
}

std::vector<Tensor> Unet::build(Layers & layers, const Evaluation & evaluation) const {
    const GraphInputs & given = evaluation.inputs;
    UnetEncoder::Inputs in{given["latent"], given["timesteps"], given["context"], given["vector"], given["guidance"]};
    if (evaluation.settings.at("identityAttention") != 0) in.middle = SelfAttention::identity;
    std::vector<UnetResiduals> added;
    for (const Control & control : evaluation.controls) {
        added.push_back(
            control.net->build(layers, in, given[control.prefix + "hint"], given[control.prefix + "strength"]));
    }
    auto [time, skips, x] = encoder_.build(layers, in);
    for (const UnetResiduals & residuals : added) {
        const auto add = [&](Tensor & to, Tensor residual) {
            to = layers.expand(ggml_add(layers.context(), to, residual));
        };
        for (size_t i = 0; i < skips.size(); i++) add(skips[i], residuals.skips[i]);
        add(x, residuals.middle);
    }
    for (const Stage & s : outputs_) {
        x = s.block.build(layers, layers.concat(x, skips.back()), time, in.context);
        skips.pop_back();
        if (!s.upsample) continue;
        // Downsampling rounds odd sides up, so the size is that of the next skip connection.
        const Tensor next = skips.back();
        x = layers.conv2d(*s.upsample, x, {Geometry::resized, layers.image_width(next), layers.image_height(next)});
    }
    return {layers.from_image(layers.norm_conv2d(last_norm_, unet_norm_eps, last_, x))};
}

} // namespace diffusion
