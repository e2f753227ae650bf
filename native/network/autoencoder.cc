// See autoencoder.h. Names and structure are those of the original checkpoints (`first_stage_model.*`).
#include "network/autoencoder.h"

#include <algorithm>

#include "names/names.h"

namespace diffusion {

namespace {

constexpr float eps = 1e-6f;
constexpr int64_t image_channels = 3;

const std::string prefix = vae_prefix;

std::string level_name(const std::string & half, int64_t level) {
    return prefix + half + "." + (half == "decoder" ? "up." : "down.") + std::to_string(level) + ".";
}

std::string block_name(const std::string & half, int64_t level, int64_t block) {
    return level_name(half, level) + "block." + std::to_string(block) + ".";
}

using ResBlock = AutoencoderHalf::ResBlock;
using Middle = AutoencoderHalf::Middle;

ResBlock bind_residual(WeightBinder & weights, const std::string & p, int64_t in, int64_t out) {
    ResBlock block;
    block.norm1 = weights.norm(p + "norm1", in);
    block.conv1 = weights.conv(p + "conv1", in, out, 3);
    block.norm2 = weights.norm(p + "norm2", out);
    block.conv2 = weights.conv(p + "conv2", out, out, 3);
    if (in != out) block.skip = weights.linear(p + "nin_shortcut", in, out);
    return block;
}

Middle bind_middle(WeightBinder & weights, const std::string & p, int64_t channels) {
    Middle middle;
    middle.block1 = bind_residual(weights, p + "block_1.", channels, channels);
    middle.attention.norm = weights.norm(p + "attn_1.norm", channels);
    middle.attention.q = weights.linear(p + "attn_1.q", channels, channels);
    middle.attention.k = weights.linear(p + "attn_1.k", channels, channels);
    middle.attention.v = weights.linear(p + "attn_1.v", channels, channels);
    middle.attention.out = weights.linear(p + "attn_1.proj_out", channels, channels);
    middle.block2 = bind_residual(weights, p + "block_2.", channels, channels);
    return middle;
}

Tensor residual(Layers & layers, const ResBlock & block, Tensor x) {
    Epilogue epilogue;
    epilogue.residual = block.skip ? layers.pointwise(*block.skip, x) : x;
    Tensor y = layers.norm_conv2d(block.norm1, eps, block.conv1, x);
    return layers.norm_conv2d(block.norm2, eps, block.conv2, y, epilogue);
}

Tensor middle(Layers & layers, const Middle & m, Tensor x) {
    Epilogue for_gemm;
    for_gemm.for_gemm = true;
    x = residual(layers, m.block1, x);
    Tensor y = layers.norm_tokens(m.attention.norm, eps, x);
    y = layers.attention(layers.linear(m.attention.q, y, for_gemm), layers.linear(m.attention.k, y, for_gemm),
                         layers.linear(m.attention.v, y, for_gemm), 1);
    return residual(layers, m.block2, layers.add_tokens(m.attention.out, y, x));
}

// The layer between an image and its code, where there is one.
Tensor quantized(Layers & layers, const AutoencoderHalf & half, Tensor image) {
    return half.quant ? layers.pointwise(*half.quant, image) : image;
}

// The layers of a half as a chain.
class Chain {
public:
    // Adds a layer after the last one.
    void add(TiledLayer layer) {
        layer.input = last();
        layers.push_back(std::move(layer));
    }

    void add(const Conv2d & conv, Geometry::Kind geometry = Geometry::same) {
        TiledLayer layer;
        layer.conv = conv;
        layer.geometry = geometry;
        add(std::move(layer));
    }

    void add(const Norm & norm, const Conv2d & conv, int residual = -1, const std::optional<Linear> & skip = {}) {
        TiledLayer layer;
        layer.norm = norm;
        layer.conv = conv;
        layer.residual = residual;
        layer.skip = skip;
        add(std::move(layer));
    }

    void add(const ResBlock & block) {
        const int input = last();
        add(block.norm1, block.conv1);
        add(block.norm2, block.conv2, input, block.skip);
    }

    void add(const Middle & middle) {
        add(middle.block1);
        TiledLayer layer;
        layer.attention = middle.attention;
        add(std::move(layer));
        add(middle.block2);
    }

    std::vector<TiledLayer> layers;

private:
    int last() const { return static_cast<int>(layers.size()); }
};

// One image of a batch of planes.
Tensor item_of(Layers & layers, Tensor planes, int64_t index) {
    return layers.to_image(ggml_view_4d(layers.context(), planes, planes->ne[0], planes->ne[1], planes->ne[2], 1,
                                        planes->nb[1], planes->nb[2], planes->nb[3], index * planes->nb[3]));
}

TileOptions tile_options(const Layers & layers, const VaeTiles & tiles) {
    return {tiles.side, tiles.memory, layers.tileable()};
}

} // namespace

AutoencoderConfig AutoencoderConfig::read(const WeightBinder & weights) {
    AutoencoderConfig c;
    c.latent_channels = weights.size(prefix + "decoder.conv_in.weight", 2);
    const int64_t levels = weights.count(prefix + "decoder.up.");
    if (levels < 1 || levels > 8) {
        throw Error(ErrorCode::model_unsupported,
                    "Expected an autoencoder with 1 to 8 levels, found " + std::to_string(levels) + ".");
    }
    c.decoder_blocks = weights.count(level_name("decoder", 0) + "block.");
    c.encoder_blocks = weights.count(level_name("encoder", 0) + "block.");
    if (std::max(c.decoder_blocks, c.encoder_blocks) > 64) {
        throw Error(ErrorCode::model_unsupported, "Expected an autoencoder with at most 64 blocks per level, found " +
                                                      std::to_string(std::max(c.decoder_blocks, c.encoder_blocks)) +
                                                      ".");
    }
    for (int64_t l = 0; l < levels; l++) {
        const int64_t channels = weights.conv_channels(block_name("decoder", l, 0) + "conv1");
        if (channels % group_count != 0) {
            throw Error(ErrorCode::model_unsupported, "Expected an autoencoder with channels that are multiples of " +
                                                          std::to_string(group_count) + ", found " +
                                                          std::to_string(channels) + ".");
        }
        c.level_channels.push_back(channels);
    }
    constexpr int64_t diffusion_channels = 4; // of Stable Diffusion before 3
    c.has_quant = c.latent_channels == diffusion_channels || weights.has(prefix + "post_quant_conv.weight") ||
                  weights.has(prefix + "quant_conv.weight");
    for (const StoredTensor & tensor : weights.table().tensors()) {
        if (tensor.name.rfind(prefix + "encoder.", 0) == 0) c.has_encoder = true;
    }
    return c;
}

VaeSizes AutoencoderConfig::sizes() const {
    VaeSizes sizes;
    sizes.latent_channels = latent_channels;
    sizes.scale_factor = int64_t{1} << (level_channels.size() - 1);
    sizes.has_encoder = has_encoder;
    sizes.tiles = true;
    sizes.level_channels = level_channels;
    return sizes;
}

AutoencoderDecoder::AutoencoderDecoder(WeightBinder & weights, const AutoencoderConfig & config)
    : VaeDecoder(config.sizes()) {
    const std::string p = prefix + "decoder.";
    int64_t channels = config.level_channels.back();
    half_.first = weights.conv(p + "conv_in", config.latent_channels, channels, 3);
    half_.middle = bind_middle(weights, p + "mid.", channels);
    for (int64_t l = static_cast<int64_t>(config.level_channels.size()) - 1; l >= 0; l--) {
        AutoencoderHalf::Level level;
        for (int64_t b = 0; b < config.decoder_blocks; b++) {
            level.blocks.push_back(
                bind_residual(weights, block_name("decoder", l, b), channels, config.level_channels[l]));
            channels = config.level_channels[l];
        }
        if (l > 0) level.resample = weights.conv(level_name("decoder", l) + "upsample.conv", channels, channels, 3);
        half_.levels.push_back(level);
    }
    half_.last_norm = weights.norm(p + "norm_out", channels);
    half_.last = weights.conv(p + "conv_out", channels, image_channels, 3);
    if (config.has_quant) {
        half_.quant = weights.linear(prefix + "post_quant_conv", config.latent_channels, config.latent_channels);
    }
}

Tensor AutoencoderDecoder::decode(Layers & layers, Tensor latent, const VaeTiles & tiles) const {
    if (tiles.side > 0) return decode_in_tiles(layers, latent, tiles);
    Tensor x = layers.conv2d(half_.first, quantized(layers, half_, layers.to_image(latent)));
    x = middle(layers, half_.middle, x);
    for (const AutoencoderHalf::Level & level : half_.levels) {
        for (const ResBlock & block : level.blocks) x = residual(layers, block, x);
        if (!level.resample) continue;
        x = layers.conv2d(*level.resample, x,
                          {Geometry::resized, 2 * layers.image_width(x), 2 * layers.image_height(x)});
    }
    return layers.from_image(layers.norm_conv2d(half_.last_norm, eps, half_.last, x));
}

Tensor AutoencoderDecoder::decode_in_tiles(Layers & layers, Tensor latent, const VaeTiles & tiles) const {
    Chain chain;
    chain.add(half_.first);
    chain.add(half_.middle);
    for (const AutoencoderHalf::Level & level : half_.levels) {
        for (const ResBlock & block : level.blocks) chain.add(block);
        if (level.resample) chain.add(*level.resample, Geometry::resized);
    }
    chain.add(half_.last_norm, half_.last);
    const auto image = [&](int64_t i) { return quantized(layers, half_, item_of(layers, latent, i)); };
    return evaluate_in_tiles(layers, chain.layers, eps, latent->ne[2], latent->ne[3], image,
                             tile_options(layers, tiles));
}

AutoencoderEncoder::AutoencoderEncoder(WeightBinder & weights, const AutoencoderConfig & config)
    : VaeEncoder(config.sizes()) {
    const std::string p = prefix + "encoder.";
    const int64_t moments = 2 * config.latent_channels;
    int64_t channels = config.level_channels.front();
    half_.first = weights.conv(p + "conv_in", image_channels, channels, 3);
    for (size_t l = 0; l < config.level_channels.size(); l++) {
        AutoencoderHalf::Level level;
        for (int64_t b = 0; b < config.encoder_blocks; b++) {
            level.blocks.push_back(
                bind_residual(weights, block_name("encoder", l, b), channels, config.level_channels[l]));
            channels = config.level_channels[l];
        }
        if (l + 1 < config.level_channels.size()) {
            level.resample = weights.conv(level_name("encoder", l) + "downsample.conv", channels, channels, 3);
        }
        half_.levels.push_back(level);
    }
    half_.middle = bind_middle(weights, p + "mid.", channels);
    half_.last_norm = weights.norm(p + "norm_out", channels);
    half_.last = weights.conv(p + "conv_out", channels, moments, 3);
    if (config.has_quant) half_.quant = weights.linear(prefix + "quant_conv", moments, moments);
}

Tensor AutoencoderEncoder::encode(Layers & layers, Tensor image, const VaeTiles & tiles) const {
    if (tiles.side > 0) return encode_in_tiles(layers, image, tiles);
    Tensor x = layers.conv2d(half_.first, layers.to_image(image));
    for (const AutoencoderHalf::Level & level : half_.levels) {
        for (const ResBlock & block : level.blocks) x = residual(layers, block, x);
        if (level.resample) x = layers.conv2d(*level.resample, x, {Geometry::strided_asymmetric});
    }
    x = layers.norm_conv2d(half_.last_norm, eps, half_.last, middle(layers, half_.middle, x));
    return layers.from_image(quantized(layers, half_, x));
}

Tensor AutoencoderEncoder::encode_in_tiles(Layers & layers, Tensor image, const VaeTiles & tiles) const {
    Chain chain;
    chain.add(half_.first);
    for (const AutoencoderHalf::Level & level : half_.levels) {
        for (const ResBlock & block : level.blocks) chain.add(block);
        if (level.resample) chain.add(*level.resample, Geometry::strided_asymmetric);
    }
    chain.add(half_.middle);
    chain.add(half_.last_norm, half_.last);
    chain.layers.back().last = half_.quant;
    return evaluate_in_tiles(
        layers, chain.layers, eps, image->ne[2], image->ne[3], [&](int64_t i) { return item_of(layers, image, i); },
        tile_options(layers, tiles));
}

} // namespace diffusion
