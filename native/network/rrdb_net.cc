// See rrdb_net.h. Names and structure are those of BasicSR.
#include "network/rrdb_net.h"

#include <algorithm>

namespace diffusion {

namespace {

constexpr int64_t image_channels = 3;
constexpr int64_t most_blocks = 64; // published models have 23 or 6
constexpr int64_t most_doublings = 4;
constexpr float residual_scale = 0.2f;

[[noreturn]] void fail(const std::string & what) {
    throw Error(ErrorCode::model_unsupported, "This RRDBNet is not supported: " + what + ".");
}

Epilogue activated() {
    Epilogue epilogue;
    epilogue.activation = Activation::leaky_relu;
    return epilogue;
}

} // namespace

bool RrdbNet::matches(const WeightBinder & weights) {
    return weights.has("conv_first.weight") || weights.has("body.0.rdb1.conv1.weight");
}

RrdbNet::RrdbNet(WeightBinder & weights) {
    const int64_t in = weights.size("conv_first.weight", 2), channels = weights.conv_channels("conv_first");
    const int64_t growth = weights.conv_channels("body.0.rdb1.conv1");
    while (unshuffle_ < 4 && image_channels * unshuffle_ * unshuffle_ < in) unshuffle_ *= 2;
    if (in != image_channels * unshuffle_ * unshuffle_) {
        fail("it has " + std::to_string(in) + " input channels, not 3, 12 or 48");
    }
    const int64_t blocks = weights.count("body.");
    const int64_t doublings = std::max<int64_t>(weights.count("conv_up"), 1) - 1; // counted from 1
    if (blocks < 1 || blocks > most_blocks) fail("it has " + std::to_string(blocks) + " blocks, not 1 to 64");
    if (doublings > most_doublings || (int64_t{1} << doublings) < unshuffle_) {
        fail("it doubles the size " + std::to_string(doublings) + " times");
    }
    first_ = weights.conv("conv_first", in, channels, 3);
    for (int64_t i = 0; i < blocks; i++) {
        Block & block = body_.emplace_back();
        for (size_t d = 0; d < block.size(); d++) {
            const std::string name = "body." + std::to_string(i) + ".rdb" + std::to_string(d + 1) + ".conv";
            for (int64_t c = 0; c < 5; c++) {
                block[d][c] =
                    weights.conv(name + std::to_string(c + 1), channels + c * growth, c < 4 ? growth : channels, 3);
            }
        }
    }
    after_body_ = weights.conv("conv_body", channels, channels, 3);
    for (int64_t i = 1; i <= doublings; i++) {
        up_.push_back(weights.conv("conv_up" + std::to_string(i), channels, channels, 3));
    }
    high_ = weights.conv("conv_hr", channels, channels, 3);
    last_ = weights.conv("conv_last", channels, image_channels, 3);
}

ImageNetworkKind RrdbNet::kind() const {
    ImageNetworkKind kind;
    kind.kind = "upscaler";
    kind.architecture = "rrdbnet";
    kind.scale = (int64_t{1} << up_.size()) / unshuffle_;
    kind.multiple = unshuffle_;
    return kind;
}

// Each convolution reads the block's input and the outputs of all previous ones.
Tensor RrdbNet::dense_block(Layers & layers, const DenseBlock & block, Tensor x) const {
    Tensor all = x;
    for (size_t i = 0; i < 4; i++) all = layers.concat(all, layers.conv2d(block[i], all, {}, activated()));
    Epilogue epilogue;
    epilogue.scale = residual_scale;
    epilogue.residual = x;
    return layers.conv2d(block[4], all, {}, epilogue);
}

Tensor RrdbNet::build_image(Layers & layers, Tensor planes) const {
    ggml_context * ctx = layers.context();
    if (unshuffle_ > 1) planes = layers.pixel_unshuffle(planes, unshuffle_);
    const Tensor start = layers.conv2d(first_, layers.to_image(planes));
    Tensor x = start;
    for (const Block & block : body_) {
        Tensor y = x;
        for (const DenseBlock & dense : block) y = dense_block(layers, dense, y);
        x = layers.expand(ggml_add(ctx, ggml_scale(ctx, y, residual_scale), x));
    }
    Epilogue epilogue;
    epilogue.residual = start;
    x = layers.conv2d(after_body_, x, {}, epilogue);
    for (const Conv2d & layer : up_) {
        const Geometry doubled{Geometry::resized, 2 * layers.image_width(x), 2 * layers.image_height(x)};
        x = layers.conv2d(layer, x, doubled, activated());
    }
    return layers.from_image(layers.conv2d(last_, layers.conv2d(high_, x, {}, activated())));
}

} // namespace diffusion
