// See control_net.h. Names and structure are those of the original checkpoints (`control_model.*`).
#include "network/control_net.h"

#include "names/names.h"

namespace diffusion {

namespace {

const std::string prefix = control_prefix;
constexpr int64_t hint_planes = 3; // red, green and blue

// Activations between the convolutions have indices too.
std::string hint_name(size_t layer) {
    return prefix + "input_hint_block." + std::to_string(2 * layer);
}

// From the third on, every second convolution halves the size.
bool halves(size_t layer) {
    return layer >= 2 && layer % 2 == 0;
}

} // namespace

int64_t ControlNetConfig::hint_factor() const {
    return int64_t{1} << (hint_channels.size() / 2 - 1);
}

ControlNetConfig ControlNet::read_config(const WeightBinder & weights) {
    constexpr size_t most_layers = 16;
    ControlNetConfig c{UnetEncoder::read_config(weights, prefix, 0), {}};
    const size_t layers = weights.indices(prefix + "input_hint_block.").size();
    if (layers < 2 || layers > most_layers || layers % 2 != 0) {
        refuse_unet(c, ErrorCode::model_unsupported,
                    "its hint encoder has " + std::to_string(layers) + " convolutions, not an even number from 2 to " +
                        std::to_string(most_layers));
    }
    for (size_t i = 0; i < layers; i++) c.hint_channels.push_back(weights.conv_channels(hint_name(i)));
    return c;
}

ControlNet::ControlNet(WeightBinder & weights, const ControlNetConfig & config)
    : config_(config), encoder_(weights, config) {
    int64_t channels = hint_planes;
    for (size_t i = 0; i < config.hint_channels.size(); i++) {
        hint_.push_back(weights.conv(hint_name(i), channels, config.hint_channels[i], 3));
        channels = config.hint_channels[i];
    }
    const auto bind_zero = [&](const std::string & name, int64_t size) {
        return weights.linear(prefix + name + ".0", size, size);
    };
    const std::vector<int64_t> skips = config.skip_channels();
    for (const int64_t size : skips) {
        skips_.push_back(bind_zero("zero_convs." + std::to_string(skips_.size()), size));
    }
    middle_ = bind_zero("middle_block_out", skips.back());
}

std::vector<Port> ControlNet::inputs() const {
    const int64_t factor = config_.hint_factor();
    return {{"hint", {1, hint_planes, {"height", factor}, {"width", factor}}}, {"strength", {1}}};
}

Tensor ControlNet::embed_hint(Layers & layers, Tensor hint) const {
    Tensor x = layers.to_image(hint);
    for (size_t i = 0; i < hint_.size(); i++) {
        Epilogue epilogue;
        if (i + 1 < hint_.size()) epilogue.activation = Activation::silu;
        x = layers.conv2d(hint_[i], x, {halves(i) ? Geometry::strided : Geometry::same}, epilogue);
    }
    return x;
}

UnetResiduals ControlNet::build(Layers & layers, UnetEncoder::Inputs in, Tensor hint, Tensor strength) const {
    ggml_context * ctx = layers.context();
    in.middle = SelfAttention::attends; // perturbed attention is only for the UNet
    const Tensor latent = in.latent;
    if (latent->ne[2] != config_.in_channels) {
        in.latent = ggml_cont(ctx, ggml_view_4d(ctx, latent, latent->ne[0], latent->ne[1], config_.in_channels,
                                                latent->ne[3], latent->nb[1], latent->nb[2], latent->nb[3], 0));
    }
    const UnetEncoder::Result encoded = encoder_.build(layers, in, embed_hint(layers, hint));
    const auto residual = [&](const Linear & zero, Tensor image) {
        return layers.expand(ggml_mul(ctx, layers.pointwise(zero, image), strength));
    };
    UnetResiduals residuals;
    for (size_t i = 0; i < skips_.size(); i++) residuals.skips.push_back(residual(skips_[i], encoded.skips[i]));
    residuals.middle = residual(middle_, encoded.middle);
    return residuals;
}

} // namespace diffusion
