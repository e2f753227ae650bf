// See tiny_autoencoder.h. Layers are numbered as in diffusers.
#include "network/tiny_autoencoder.h"

#include <algorithm>

namespace diffusion {

namespace {

constexpr size_t most_layers = 64; // published models have 19
constexpr int64_t most_resamples = 5;
constexpr float latent_magnitude = 3; // a latent beyond it is squeezed

[[noreturn]] void fail(const std::string & what) {
    throw Error(ErrorCode::model_unsupported, "This is not a tiny autoencoder that this package runs: " + what + ".");
}

Epilogue activated() {
    Epilogue epilogue;
    epilogue.activation = Activation::relu;
    return epilogue;
}

} // namespace

// The first layer and the last are plain convolutions, and so are those between that change the size; they have no bias.
TinyAutoencoder::Half TinyAutoencoder::bind(WeightBinder & weights, const std::string & prefix) {
    const std::vector<int64_t> layers = weights.indices(prefix);
    if (layers.size() < 3 || layers.size() > most_layers) {
        fail("a half of it has " + std::to_string(layers.size()) + " layers, not 3 to " + std::to_string(most_layers));
    }
    const auto name = [&](int64_t i) { return prefix + std::to_string(i); };
    const auto size = [&](const std::string & conv, int i) { return weights.size(conv + ".weight", i); };
    Half half;
    int64_t channels = size(name(layers.front()), 3);
    half.first = weights.conv(name(layers.front()), size(name(layers.front()), 2), channels, 3);
    for (size_t i = 1; i + 1 < layers.size(); i++) {
        const std::string place = name(layers[i]);
        Layer layer;
        if (weights.has(place + ".conv.0.weight")) {
            const int64_t out = size(place + ".conv.0", 3);
            Block block{weights.conv(place + ".conv.0", channels, out, 3), weights.conv(place + ".conv.2", out, out, 3),
                        weights.conv(place + ".conv.4", out, out, 3), std::nullopt};
            if (out != channels) block.skip = weights.linear(place + ".skip", channels, out, false);
            layer.block = block;
            channels = out;
        } else {
            const int64_t out = size(place, 3);
            layer.resample = weights.conv(place, channels, out, 3, false);
            channels = out;
            half.n_resamples++;
        }
        half.layers.push_back(layer);
    }
    if (half.n_resamples > most_resamples) fail("it changes the size " + std::to_string(half.n_resamples) + " times");
    half.last = weights.conv(name(layers.back()), channels, size(name(layers.back()), 3), 3);
    return half;
}

TinyAutoencoder::TinyAutoencoder(WeightBinder & weights, const std::string & prefix) {
    const std::string encoder = prefix + "encoder.layers.", decoder = prefix + "decoder.layers.";
    constexpr int64_t image_channels = 3;
    if (weights.indices(decoder).empty()) fail("it has no decoder");
    const auto channels = [&](const std::string & half, bool last, int i) {
        const std::vector<int64_t> layers = weights.indices(half);
        return weights.size(half + std::to_string(last ? layers.back() : layers.front()) + ".weight", i);
    };
    latent_channels_ = channels(decoder, false, 2);
    if (channels(decoder, true, 3) != image_channels) fail("its decoder gives no image of 3 channels");
    decoder_ = bind(weights, decoder);
    if (weights.indices(encoder).empty()) return;
    if (channels(encoder, false, 2) != image_channels || channels(encoder, true, 3) != latent_channels_) {
        fail("its encoder makes something else of an image than the decoder takes");
    }
    encoder_ = bind(weights, encoder);
    if (encoder_->n_resamples != decoder_.n_resamples) fail("its halves differ in the size of a latent");
}

VaeSizes TinyAutoencoder::sizes() const {
    VaeSizes sizes;
    sizes.latent_channels = latent_channels_;
    sizes.scale_factor = int64_t{1} << decoder_.n_resamples;
    sizes.has_encoder = encoder_.has_value();
    sizes.tiny = true;
    return sizes;
}

Tensor TinyAutoencoder::residual(Layers & layers, const Block & block, Tensor x) {
    Epilogue sum = activated();
    sum.activate_last = true;
    sum.residual = block.skip ? layers.pointwise(*block.skip, x) : x;
    Tensor y = layers.conv2d(block.conv1, x, {}, activated());
    return layers.conv2d(block.conv3, layers.conv2d(block.conv2, y, {}, activated()), {}, sum);
}

Tensor TinyAutoencoder::build_decoder(Layers & layers, Tensor latent) const {
    ggml_context * ctx = layers.context();
    Tensor squeezed = ggml_tanh(ctx, ggml_scale(ctx, latent, 1 / latent_magnitude));
    Tensor x = layers.to_image(ggml_scale(ctx, squeezed, latent_magnitude));
    x = layers.conv2d(decoder_.first, x, {}, activated());
    for (const Layer & layer : decoder_.layers) {
        const Geometry doubled{Geometry::resized, 2 * layers.image_width(x), 2 * layers.image_height(x)};
        x = layer.block ? residual(layers, *layer.block, x) : layers.conv2d(layer.resample, x, doubled);
    }
    // From 0..1 to -1..1.
    return ggml_scale_bias(ctx, layers.from_image(layers.conv2d(decoder_.last, x)), 2, -1);
}

Tensor TinyAutoencoder::build_encoder(Layers & layers, Tensor image) const {
    Tensor x = layers.to_image(ggml_scale_bias(layers.context(), image, 0.5f, 0.5f));
    x = layers.conv2d(encoder_->first, x);
    for (const Layer & layer : encoder_->layers) {
        x = layer.block ? residual(layers, *layer.block, x) : layers.conv2d(layer.resample, x, {Geometry::strided});
    }
    return layers.from_image(layers.conv2d(encoder_->last, x));
}

} // namespace diffusion
