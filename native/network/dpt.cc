// See dpt.h. Names and structure are those of MiDaS.
#include "network/dpt.h"

#include <algorithm>
#include <cmath>

namespace diffusion {

namespace {

constexpr int64_t patch = 16; // side of a token's patch in pixels
constexpr int64_t head_size = 64;
constexpr int64_t most_layers = 128, most_blocks = 64;
constexpr float layer_eps = 1e-6f, group_eps = 1e-5f, weight_eps = 1e-8f;
constexpr int64_t image_channels = 3;

const std::string model = "pretrained.model.", backbone_prefix = model + "patch_embed.backbone.";

[[noreturn]] void fail(const std::string & what) {
    throw Error(ErrorCode::model_unsupported, "This DPT is not supported: " + what + ".");
}

Epilogue relu() {
    Epilogue epilogue;
    epilogue.activation = Activation::relu;
    return epilogue;
}

Epilogue for_gemm(Activation activation = Activation::none) {
    Epilogue epilogue;
    epilogue.activation = activation;
    epilogue.for_gemm = true;
    return epilogue;
}

Epilogue added_to(Tensor residual) {
    Epilogue epilogue;
    epilogue.residual = residual;
    return epilogue;
}

// Weight standardization: each row with a mean of 0 and a variance of 1 (Qiao et al. 2019, arXiv:1903.10520).
std::vector<float> standardized(const std::vector<float> & weights, size_t rows) {
    std::vector<float> result(weights.size());
    const size_t length = weights.size() / rows;
    for (size_t row = 0; row < rows; row++) {
        const float * w = weights.data() + row * length;
        double mean = 0, variance = 0;
        for (size_t i = 0; i < length; i++) mean += w[i] / length;
        for (size_t i = 0; i < length; i++) variance += (w[i] - mean) * (w[i] - mean) / length;
        const double scale = 1 / std::sqrt(variance + weight_eps);
        for (size_t i = 0; i < length; i++) result[row * length + i] = static_cast<float>((w[i] - mean) * scale);
    }
    return result;
}

Conv2d standardized_conv(WeightBinder & weights, const std::string & prefix, int64_t in, int64_t out, int64_t kernel) {
    const auto standardize = [out](const std::vector<float> & w) {
        return standardized(w, static_cast<size_t>(std::max<int64_t>(out, 1)));
    };
    return {weights.transformed(prefix + ".weight", {kernel, kernel, in, out}, {kernel, kernel, in, out}, standardize),
            nullptr};
}

// A transposed convolution whose stride equals its kernel size, as a 1x1 convolution followed by a pixel shuffle.
Conv2d transposed_conv(WeightBinder & weights, const std::string & prefix, int64_t channels, int64_t factor) {
    const int64_t square = factor * factor, out = channels * square;
    const auto transpose = [channels, out](const std::vector<float> & w) {
        std::vector<float> result(w.size());
        for (int64_t i = 0; i < channels; i++) {
            for (int64_t o = 0; o < out; o++) result[o * channels + i] = w[i * out + o];
        }
        return result;
    };
    const auto repeat = [out, square](const std::vector<float> & b) {
        std::vector<float> result(out);
        for (int64_t o = 0; o < out; o++) result[o] = b[o / square];
        return result;
    };
    return {
        weights.transformed(prefix + ".weight", {factor, factor, channels, channels}, {1, 1, channels, out}, transpose),
        weights.transformed(prefix + ".bias", {channels}, {out}, repeat)};
}

} // namespace

bool Dpt::matches(const WeightBinder & weights) {
    return weights.has(model + "cls_token") || weights.has("scratch.layer1_rn.weight");
}

Dpt::Dpt(WeightBinder & weights) {
    width_ = weights.size(model + "cls_token", 0);
    layers_ = weights.count(model + "blocks.");
    const int64_t places = weights.size(model + "pos_embed", 1) - 1;
    grid_ = std::lround(std::sqrt(std::max<double>(places, 0)));
    if (width_ % head_size != 0) fail("its transformer has a width of " + std::to_string(width_));
    if (layers_ % 4 != 0 || layers_ > most_layers) fail("its transformer has " + std::to_string(layers_) + " layers");
    if (places > 0 && grid_ * grid_ != places)
        fail("it has " + std::to_string(places) + " position embeddings, which is not a square number");
    int64_t patch_channels = 0;
    if (weights.has(backbone_prefix + "stem.conv.weight")) {
        bind_backbone(weights);
        patch_channels = weights.size(model + "patch_embed.proj.weight", 2);
    }
    bind_transformer(weights, patch_channels);
    for (int level = backbone_ ? 2 : 0; level < 4; level++) reassemblies_[level] = bind_reassembly(weights, level);
    bind_head(weights);
}

void Dpt::bind_backbone(WeightBinder & weights) {
    backbone_.emplace();
    int64_t channels = weights.size(backbone_prefix + "stem.conv.weight", 3);
    backbone_->stem = standardized_conv(weights, backbone_prefix + "stem.conv", image_channels, channels, 7);
    backbone_->stem_norm = weights.norm(backbone_prefix + "stem.norm", channels);
    constexpr int64_t stages = 3;
    const int64_t found = weights.count(backbone_prefix + "stages.");
    if (found > stages) fail("its backbone has " + std::to_string(found) + " stages");
    for (int64_t s = 0; s < stages; s++) {
        const std::string stage = backbone_prefix + "stages." + std::to_string(s) + ".blocks.";
        const int64_t blocks = std::max<int64_t>(weights.count(stage), 1);
        if (blocks > most_blocks) fail("a stage of its backbone has " + std::to_string(blocks) + " blocks");
        std::vector<Bottleneck> & all = backbone_->stages.emplace_back();
        for (int64_t b = 0; b < blocks; b++) {
            const std::string prefix = stage + std::to_string(b) + ".";
            all.push_back(bind_bottleneck(weights, prefix, channels));
            channels = weights.size(prefix + "conv3.weight", 3);
        }
    }
}

Dpt::Bottleneck Dpt::bind_bottleneck(WeightBinder & weights, const std::string & p, int64_t in) {
    const int64_t inner = weights.size(p + "conv1.weight", 3), out = weights.size(p + "conv3.weight", 3);
    if (inner % group_count != 0 || out % group_count != 0) {
        fail("its backbone has layers of " + std::to_string(inner) + " and " + std::to_string(out) + " channels");
    }
    Bottleneck block;
    block.conv1 = standardized_conv(weights, p + "conv1", in, inner, 1);
    block.norm1 = weights.norm(p + "norm1", inner);
    block.conv2 = standardized_conv(weights, p + "conv2", inner, inner, 3);
    block.norm2 = weights.norm(p + "norm2", inner);
    block.conv3 = standardized_conv(weights, p + "conv3", inner, out, 1);
    block.norm3 = weights.norm(p + "norm3", out);
    if (p.ends_with("blocks.0.")) {
        block.shortcut = standardized_conv(weights, p + "downsample.conv", in, out, 1);
        block.shortcut_norm = weights.norm(p + "downsample.norm", out);
    }
    return block;
}

// `patch_channels`: output channels of the residual network; 0 if patches are of pixels.
void Dpt::bind_transformer(WeightBinder & weights, int64_t patch_channels) {
    const std::string proj = model + "patch_embed.proj.";
    const auto unchanged = [](const std::vector<float> & w) { return w; };
    patches_.weight = backbone_ ? weights.weight(proj + "weight", {patch_channels, width_})
                                : weights.transformed(proj + "weight", {patch, patch, image_channels, width_},
                                                      {patch * patch * image_channels, width_}, unchanged);
    patches_.bias = weights.parameter(proj + "bias", {width_});
    class_token_ = weights.parameter(model + "cls_token", {width_});
    positions_ = weights.parameter(model + "pos_embed", {width_, 1 + grid_ * grid_});
    for (int64_t i = 0; i < layers_; i++) {
        const std::string p = model + "blocks." + std::to_string(i) + ".";
        const int64_t inner = weights.size(p + "mlp.fc1.weight", 1);
        Block block;
        block.norm1 = weights.norm(p + "norm1", width_);
        block.q = weights.linear(p + "attn.q", width_, width_);
        block.k = weights.linear(p + "attn.k", width_, width_);
        block.v = weights.linear(p + "attn.v", width_, width_);
        block.out = weights.linear(p + "attn.proj", width_, width_);
        block.norm2 = weights.norm(p + "norm2", width_);
        block.up = weights.linear(p + "mlp.fc1", width_, inner);
        block.down = weights.linear(p + "mlp.fc2", inner, width_);
        blocks_.push_back(block);
    }
}

Dpt::Reassembly Dpt::bind_reassembly(WeightBinder & weights, int level) {
    const std::string p = "pretrained.act_postprocess" + std::to_string(level + 1) + ".";
    const int64_t channels = weights.size("scratch.layer" + std::to_string(level + 1) + "_rn.weight", 2);
    Reassembly layers;
    layers.readout = weights.linear(p + "0.project.0", 2 * width_, width_);
    layers.project = weights.linear(p + "3", width_, channels);
    layers.factor = level == 0 ? 4 : level == 1 ? 2 : 1;
    if (layers.factor > 1) layers.enlarge = transposed_conv(weights, p + "4", channels, layers.factor);
    if (level == 3) layers.reduce = weights.conv(p + "4", channels, channels, 3);
    return layers;
}

void Dpt::bind_head(WeightBinder & weights) {
    const int64_t features = weights.size("scratch.layer1_rn.weight", 3);
    const auto bind_residual = [&](const std::string & p) {
        return Residual{weights.conv(p + "conv1", features, features, 3),
                        weights.conv(p + "conv2", features, features, 3)};
    };
    for (int level = 0; level < 4; level++) {
        const std::string number = std::to_string(level + 1), conv = "scratch.layer" + number + "_rn.weight";
        level_convs_[level].weight = weights.weight(conv, {3, 3, weights.size(conv, 2), features});
        const std::string p = "scratch.refinenet" + number + ".";
        if (level < 3) fusions_[level].skip = bind_residual(p + "resConfUnit1.");
        fusions_[level].path = bind_residual(p + "resConfUnit2.");
        fusions_[level].out = weights.linear(p + "out_conv", features, features);
    }
    const std::string p = "scratch.output_conv.";
    const int64_t first = weights.conv_channels(p + "0"), second = weights.conv_channels(p + "2");
    head_ = {weights.conv(p + "0", features, first, 3), weights.conv(p + "2", first, second, 3),
             weights.conv(p + "4", second, 1, 1)};
}

ImageNetworkKind Dpt::kind() const {
    ImageNetworkKind kind;
    kind.kind = "depth";
    kind.architecture = backbone_ ? "dpt-hybrid" : "dpt";
    kind.multiple = 2 * patch;
    kind.output_channels = 1;
    kind.side = grid_ * patch;
    return kind;
}

Tensor Dpt::bottleneck(Layers & layers, const Bottleneck & block, Tensor x, const Geometry & geometry) {
    Tensor shortcut = x;
    if (block.shortcut) {
        shortcut = layers.group_norm(block.shortcut_norm, group_eps, layers.conv2d(*block.shortcut, x, geometry),
                                     nullptr, false);
    }
    Tensor y = layers.conv2d(block.conv1, x);
    y = layers.norm_conv2d(block.norm1, group_eps, block.conv2, y, {}, Activation::relu, geometry);
    y = layers.norm_conv2d(block.norm2, group_eps, block.conv3, y, {}, Activation::relu);
    return layers.group_norm(block.norm3, group_eps, y, shortcut, true);
}

// The position embeddings, interpolated if the grid is not the one that the network was trained with.
Tensor Dpt::positions(Layers & layers, int64_t columns, int64_t rows) const {
    ggml_context * ctx = layers.context();
    Tensor grid = ggml_view_2d(ctx, positions_, width_, grid_ * grid_, positions_->nb[1],
                               positions_->nb[1]); // after the class token's
    if (columns == grid_ && rows == grid_) return grid;
    return layers.to_tokens(layers.bilinear(layers.from_tokens(grid, grid_, grid_), columns, rows, false));
}

// [width, 1 + columns * rows, batch]
Tensor Dpt::embed(Layers & layers, Tensor patches, int64_t columns, int64_t rows) const {
    ggml_context * ctx = layers.context();
    Tensor tokens = ggml_add(ctx, layers.linear(patches_, patches), positions(layers, columns, rows));
    Tensor first = ggml_add(ctx, class_token_, ggml_view_1d(ctx, positions_, width_, 0));
    return layers.expand(ggml_concat(ctx, ggml_repeat_4d(ctx, first, width_, 1, tokens->ne[2], 1), tokens, 1));
}

Tensor Dpt::transform(Layers & layers, const Block & block, Tensor x) const {
    Tensor y = layers.layer_norm(block.norm1, x, false, layer_eps);
    y = layers.attention(layers.linear(block.q, y, for_gemm()), layers.linear(block.k, y, for_gemm()),
                         layers.linear(block.v, y, for_gemm()), width_ / head_size);
    x = layers.linear(block.out, y, added_to(x));
    y = layers.layer_norm(block.norm2, x, false, layer_eps);
    return layers.linear(block.down, layers.linear(block.up, y, for_gemm(Activation::gelu)), added_to(x));
}

Tensor Dpt::reassemble(Layers & layers, const Reassembly & block, Tensor tokens, int64_t columns, int64_t rows) const {
    ggml_context * ctx = layers.context();
    const int64_t batch = tokens->ne[2];
    Tensor first = ggml_view_3d(ctx, tokens, width_, 1, batch, tokens->nb[1], tokens->nb[2], 0);
    Tensor rest = ggml_view_3d(ctx, tokens, width_, columns * rows, batch, tokens->nb[1], tokens->nb[2], tokens->nb[1]);
    Tensor joined = layers.expand(ggml_concat(ctx, rest, ggml_repeat(ctx, first, rest), 0));
    Tensor y = layers.linear(block.readout, joined, for_gemm(Activation::gelu));
    Tensor image = layers.from_tokens(layers.linear(block.project, y), columns, rows);
    if (block.enlarge) {
        Tensor planes = layers.from_image(layers.conv2d(*block.enlarge, image));
        image = layers.to_image(layers.pixel_shuffle(planes, block.factor));
    }
    return block.reduce ? layers.conv2d(*block.reduce, image, {Geometry::strided}) : image;
}

Tensor Dpt::residual(Layers & layers, const Residual & block, Tensor x) {
    Tensor y = layers.conv2d(block.conv1, x, {}, relu(), Activation::relu);
    return layers.conv2d(block.conv2, y, {}, added_to(x));
}

Tensor Dpt::decode(Layers & layers, const std::array<Tensor, 4> & levels) const {
    const auto twice = [&](Tensor x) {
        return layers.bilinear(x, 2 * layers.image_width(x), 2 * layers.image_height(x), true);
    };
    Tensor path = nullptr;
    for (int level = 3; level >= 0; level--) {
        Tensor x = layers.conv2d(level_convs_[level], levels[level]);
        if (path) x = layers.expand(ggml_add(layers.context(), path, residual(layers, *fusions_[level].skip, x)));
        x = residual(layers, fusions_[level].path, x);
        // The original enlarges first: the same result for four times the work.
        path = twice(layers.pointwise(fusions_[level].out, x));
    }
    Tensor y = layers.conv2d(head_[1], twice(layers.conv2d(head_[0], path)), {}, relu());
    return layers.conv2d(head_[2], y, {}, relu());
}

Tensor Dpt::build_image(Layers & layers, Tensor planes) const {
    const int64_t columns = planes->ne[0] / patch, rows = planes->ne[1] / patch;
    planes = ggml_scale_bias(layers.context(), planes, 2.0f, -1.0f);
    std::array<Tensor, 4> levels{};
    Tensor patches;
    if (backbone_) {
        Tensor x = layers.conv2d(backbone_->stem, layers.to_image(planes), {Geometry::strided_asymmetric});
        x = layers.max_pool(layers.group_norm(backbone_->stem_norm, group_eps, x, nullptr, true));
        for (size_t s = 0; s < backbone_->stages.size(); s++) {
            for (size_t b = 0; b < backbone_->stages[s].size(); b++) {
                const bool halves = s > 0 && b == 0;
                x = bottleneck(layers, backbone_->stages[s][b], x,
                               {halves ? Geometry::strided_asymmetric : Geometry::same});
            }
            levels[s] = x; // that of the third stage is replaced below
        }
        patches = layers.to_tokens(x);
    } else {
        patches = layers.to_tokens(layers.to_image(layers.pixel_unshuffle(planes, patch)));
    }
    Tensor tokens = embed(layers, patches, columns, rows);
    for (int64_t i = 0; i < layers_; i++) {
        tokens = transform(layers, blocks_[i], tokens);
        // The levels are the outputs after each quarter of the layers.
        const int64_t level = (i + 1) * 4 / layers_ - 1;
        if ((i + 1) % (layers_ / 4) != 0 || (backbone_ && level < 2)) continue;
        levels[level] = reassemble(layers, reassemblies_[level], tokens, columns, rows);
    }
    return layers.from_image(decode(layers, levels));
}

} // namespace diffusion
