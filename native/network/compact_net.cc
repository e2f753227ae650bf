// See compact_net.h. Names and structure are those of BasicSR.
#include "network/compact_net.h"

namespace diffusion {

namespace {

constexpr int64_t image_channels = 3;
constexpr int64_t most_layers = 128; // published models have 18 and 34
constexpr int64_t most_scale = 16;

[[noreturn]] void fail(const std::string & what) {
    throw Error(ErrorCode::model_unsupported, "This SRVGGNetCompact is not supported: " + what + ".");
}

} // namespace

bool CompactNet::matches(const WeightBinder & weights) {
    return weights.has("body.0.weight") && weights.has("body.1.weight");
}

CompactNet::CompactNet(WeightBinder & weights) {
    // Convolutions with a PReLU each, except the last.
    const int64_t count = weights.count("body.");
    if (count < 3 || count % 2 == 0 || count > 2 * most_layers) {
        fail("it has " + std::to_string(count) + " layers, not an odd number from 3 to " +
             std::to_string(2 * most_layers));
    }
    const auto name = [](int64_t i) { return std::string("body.") + std::to_string(i); };
    const int64_t channels = weights.conv_channels(name(0)), out = weights.conv_channels(name(count - 1));
    while (scale_ < most_scale && image_channels * scale_ * scale_ < out) scale_++;
    if (out != image_channels * scale_ * scale_) {
        fail("it has " + std::to_string(out) + " output channels, not 3 times a square number");
    }
    int64_t in = image_channels;
    for (int64_t i = 0; i + 1 < count; i += 2) {
        layers_.push_back(
            {weights.conv(name(i), in, channels, 3), weights.parameter(name(i + 1) + ".weight", {channels})});
        in = channels;
    }
    last_ = weights.conv(name(count - 1), channels, out, 3);
}

ImageNetworkKind CompactNet::kind() const {
    ImageNetworkKind kind;
    kind.kind = "upscaler";
    kind.architecture = "compact";
    kind.scale = scale_;
    return kind;
}

Tensor CompactNet::build_image(Layers & layers, Tensor planes) const {
    ggml_context * ctx = layers.context();
    Tensor x = layers.to_image(planes);
    for (const Layer & layer : layers_) {
        Epilogue epilogue;
        epilogue.activation = Activation::leaky_relu;
        epilogue.slopes = layer.slopes;
        x = layers.conv2d(layer.conv, x, {}, epilogue);
    }
    x = layers.from_image(layers.conv2d(last_, x));
    // Repeating each channel before the pixel shuffle enlarges the image by nearest neighbour.
    const int64_t pixels = planes->ne[0] * planes->ne[1], channels = image_channels * planes->ne[3];
    Tensor each =
        ggml_repeat_4d(ctx, ggml_reshape_3d(ctx, planes, pixels, 1, channels), pixels, scale_ * scale_, channels, 1);
    x = ggml_add(ctx, x, ggml_reshape_4d(ctx, each, x->ne[0], x->ne[1], x->ne[2], x->ne[3]));
    return layers.pixel_shuffle(x, scale_);
}

} // namespace diffusion
