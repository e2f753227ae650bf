// See tiny_autoencoder.h. Layers are numbered as in diffusers.
#include "network/tiny_autoencoder.h"

#include <algorithm>

namespace diffusion {

namespace {

constexpr size_t most_layers = 64; // published models have 19
constexpr int64_t most_resamples = 5;
constexpr float log_variance = -30;
constexpr float latent_magnitude = 3; // latents are clamped to about this: 3 tanh(x / 3)

[[noreturn]] void fail(const std::string & what) {
    throw Error(ErrorCode::model_unsupported, "This tiny autoencoder is not supported: " + what + ".");
}

Epilogue activated() {
    Epilogue epilogue;
    epilogue.activation = Activation::relu;
    return epilogue;
}

// Indices of the layers of an encoder or decoder.
std::vector<int64_t> layer_indices(const WeightBinder & weights, const std::string & prefix) {
    std::vector<int64_t> found = weights.indices(prefix);
    if (found.size() < 3 || found.size() > most_layers) {
        fail("its encoder or decoder has " + std::to_string(found.size()) + " layers, not 3 to " +
             std::to_string(most_layers));
    }
    return found;
}

bool is_block(const WeightBinder & weights, const std::string & layer) {
    return weights.has(layer + ".conv.0.weight");
}

// The number of layers that resample.
int64_t count_resamples(const WeightBinder & weights, const std::string & prefix) {
    const std::vector<int64_t> layers = layer_indices(weights, prefix);
    const auto count = std::count_if(layers.begin() + 1, layers.end() - 1,
                                     [&](int64_t i) { return !is_block(weights, prefix + std::to_string(i)); });
    if (count > most_resamples) fail("it resamples " + std::to_string(count) + " times");
    return count;
}

Tensor residual(Layers & layers, const TinyHalf::Block & block, Tensor x) {
    Epilogue sum = activated();
    sum.activate_last = true;
    sum.residual = block.skip ? layers.pointwise(*block.skip, x) : x;
    Tensor y = layers.conv2d(block.conv1, x, {}, activated());
    return layers.conv2d(block.conv3, layers.conv2d(block.conv2, y, {}, activated()), {}, sum);
}

} // namespace

// The first and last layers are plain convolutions, and so are the resampling layers, which have no bias.
TinyHalf::TinyHalf(WeightBinder & weights, const std::string & prefix) {
    const std::vector<int64_t> indices = layer_indices(weights, prefix);
    const auto name = [&](int64_t i) { return prefix + std::to_string(i); };
    const auto size = [&](const std::string & conv, int i) { return weights.size(conv + ".weight", i); };
    int64_t channels = size(name(indices.front()), 3);
    first = weights.conv(name(indices.front()), size(name(indices.front()), 2), channels, 3);
    for (size_t i = 1; i + 1 < indices.size(); i++) {
        const std::string place = name(indices[i]);
        Layer layer;
        if (is_block(weights, place)) {
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
        }
        layers.push_back(layer);
    }
    last = weights.conv(name(indices.back()), channels, size(name(indices.back()), 3), 3);
}

VaeSizes read_tiny_sizes(const WeightBinder & weights, const std::string & prefix) {
    const std::string encoder = prefix + "encoder.layers.", decoder = prefix + "decoder.layers.";
    constexpr int64_t image_channels = 3;
    if (weights.indices(decoder).empty()) fail("it has no decoder");
    const auto channels = [&](const std::string & half, bool last, int i) {
        const std::vector<int64_t> layers = weights.indices(half);
        return weights.size(half + std::to_string(last ? layers.back() : layers.front()) + ".weight", i);
    };
    VaeSizes sizes;
    sizes.latent_channels = channels(decoder, false, 2);
    sizes.has_encoder = !weights.indices(encoder).empty();
    sizes.tiny = true;
    if (channels(decoder, true, 3) != image_channels) fail("its decoder does not have 3 output channels");
    const int64_t resamples = count_resamples(weights, decoder);
    sizes.scale_factor = int64_t{1} << resamples;
    if (!sizes.has_encoder) return sizes;
    if (channels(encoder, false, 2) != image_channels || channels(encoder, true, 3) != sizes.latent_channels) {
        fail("its encoder and decoder differ in their channels");
    }
    if (count_resamples(weights, encoder) != resamples) fail("its encoder and decoder differ in their scale factors");
    return sizes;
}

TinyDecoder::TinyDecoder(WeightBinder & weights, const std::string & prefix, const VaeSizes & sizes)
    : VaeDecoder(sizes), half_(weights, prefix + "decoder.layers.") {}

TinyEncoder::TinyEncoder(WeightBinder & weights, const std::string & prefix, const VaeSizes & sizes)
    : VaeEncoder(sizes), half_(weights, prefix + "encoder.layers.") {}

Tensor TinyDecoder::decode(Layers & layers, Tensor latent, const VaeTiles &) const {
    ggml_context * ctx = layers.context();
    Tensor squeezed = ggml_tanh(ctx, ggml_scale(ctx, latent, 1 / latent_magnitude));
    Tensor x = layers.to_image(ggml_scale(ctx, squeezed, latent_magnitude));
    x = layers.conv2d(half_.first, x, {}, activated());
    for (const TinyHalf::Layer & layer : half_.layers) {
        const Geometry doubled{Geometry::resized, 2 * layers.image_width(x), 2 * layers.image_height(x)};
        x = layer.block ? residual(layers, *layer.block, x) : layers.conv2d(layer.resample, x, doubled);
    }
    // From 0..1 to -1..1.
    return ggml_scale_bias(ctx, layers.from_image(layers.conv2d(half_.last, x)), 2, -1);
}

Tensor TinyEncoder::encode(Layers & layers, Tensor image, const VaeTiles &) const {
    Tensor x = layers.to_image(ggml_scale_bias(layers.context(), image, 0.5f, 0.5f));
    x = layers.conv2d(half_.first, x);
    for (const TinyHalf::Layer & layer : half_.layers) {
        x = layer.block ? residual(layers, *layer.block, x) : layers.conv2d(layer.resample, x, {Geometry::strided});
    }
    const Tensor latent = layers.from_image(layers.conv2d(half_.last, x));
    return ggml_concat(layers.context(), latent, ggml_scale_bias(layers.context(), latent, 0, log_variance), 2);
}

} // namespace diffusion
