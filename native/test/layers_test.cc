// A layer gives the same result unsliced, sliced, and with all kernels that run on this machine.
#include "graphs.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

// The rounding error: ggml also rounds the other factor to the type of the weights.
double rounding(const std::vector<Input> & inputs) {
    double most = 1e-5;
    for (const Input & input : inputs) {
        if (input.type == GGML_TYPE_F16) most = std::fmax(most, 5e-4);
        if (input.type == GGML_TYPE_Q8_0) most = std::fmax(most, 1e-2);
        if (input.type == GGML_TYPE_BF16) most = std::fmax(most, 5e-3);
    }
    return most;
}

// `inputs`: the input, then weights; packed matrices refer to these, so each evaluation has its own.
void check_layer(const std::string & what, const std::vector<Input> & inputs, const Build & build, bool sliced = true) {
    Device device("cpu", 2, Precision::f32);
    int n_unsliced = 0;
    Graph graph(Graph::Limits{});
    const std::vector<float> expected = evaluate(device, graph, *make_ggml_layers(graph), inputs, build, n_unsliced);
    const auto compare = [&](const std::string & how, const std::vector<float> & values, double most) {
        check_equal(values.size(), expected.size(), what + ", " + how + ": the number of values");
        const double error = relative_error(values, expected);
        check(error < most, what + ", " + how + ": a relative error of " + std::to_string(error));
    };
    for (const double node_work : {1.0, 10000.0}) { // the most slices possible, and few slices
        if (!sliced) break;
        int n_sliced = 0;
        Graph slices(Graph::Limits{node_work});
        const std::vector<float> values = evaluate(device, slices, *make_ggml_layers(slices), inputs, build, n_sliced);
        check(n_sliced > n_unsliced, what + ": there are slices");
        compare("in slices", values, 1e-5);
    }
    for (const Kernels * kernels : available_kernels()) {
        CpuContext cpu(*kernels, device.threads());
        int n_nodes = 0;
        Graph ours(Graph::Limits{});
        compare(kernels->name, evaluate(device, ours, *make_cpu_layers(ours, cpu), inputs, build, n_nodes),
                kernels->operand == GGML_TYPE_F32 ? rounding(inputs) : 2e-2);
    }
}

Build convolution(Geometry geometry) {
    return [=](Layers & layers, std::span<const Tensor> in) {
        return layers.from_image(layers.conv2d({in[1], in[2]}, layers.to_image(in[0]), geometry));
    };
}

void test_convolutions() {
    for (const int64_t out : {6, 40, 96}) {
        const Input bias{{out, 1, 1, 1}};
        for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16}) {
            const Input kernel{{3, 3, 5, out}, type};
            const std::string name =
                std::string("convolution in ") + ggml_type_name(type) + " to " + std::to_string(out);
            check_layer(name, {{{7, 9, 5, 1}}, kernel, bias}, convolution({}));
            check_layer(name + ", a batch", {{{7, 70, 5, 2}}, kernel, bias}, convolution({}));
            check_layer(name + ", every second pixel", {{{7, 9, 5, 2}}, kernel, bias},
                        convolution({Geometry::strided}));
            check_layer(name + ", every second, shifted", {{{8, 11, 5, 2}}, kernel, bias},
                        convolution({Geometry::strided_asymmetric}));
            check_layer(name + ", resized", {{{3, 5, 5, 2}}, kernel, bias}, convolution({Geometry::resized, 7, 10}));
        }
    }
    // Large enough for Winograd's algorithm.
    for (const int64_t out : {70, 96}) {
        check_layer("wide convolution to " + std::to_string(out),
                    {{{34, 32, 66, 2}}, {{3, 3, 66, out}}, {{out, 1, 1, 1}}}, convolution({}));
    }
    // Rows that are longer than a block of a panel.
    check_layer("deep convolution", {{{5, 4, 1030, 1}}, {{3, 3, 1030, 33}, GGML_TYPE_F16}, {{33, 1, 1, 1}}},
                convolution({}));
}

void test_residual_blocks() {
    const auto build = [](Layers & layers, std::span<const Tensor> in) {
        Tensor image = layers.to_image(in[0]);
        Epilogue epilogue;
        epilogue.image_bias = in[5];
        epilogue.residual = layers.concat(image, image);
        return layers.from_image(layers.norm_conv2d({in[1], in[2]}, 1e-5f, {in[3], in[4]}, image, epilogue));
    };
    const Input channels{{32, 1, 1, 1}};
    check_layer("residual block",
                {{{6, 5, 32, 2}}, channels, channels, {{3, 3, 32, 64}}, {{64, 1, 1, 1}}, {{64, 2, 1, 1}}}, build,
                false);

    const auto tokens = [](Layers & layers, std::span<const Tensor> in) {
        Tensor image = layers.to_image(in[0]);
        Tensor y = layers.pointwise({in[3], in[4]}, image);
        return layers.from_image(
            layers.add_tokens({in[3], in[4]}, layers.norm_tokens({in[1], in[2]}, 1e-6f, image), y));
    };
    check_layer("image to tokens and back", {{{6, 5, 32, 2}}, channels, channels, {{32, 32, 1, 1}}, channels}, tokens,
                false);
}

void test_tileable() {
    for (const Tileable tileable : {Tileable{true, false}, Tileable{false, true}, Tileable{true, true}}) {
        const auto circular = [&](Geometry geometry) {
            return [=](Layers & layers, std::span<const Tensor> in) {
                layers.set_tileable(tileable);
                return convolution(geometry)(layers, in);
            };
        };
        const std::string name =
            std::string("convolution, tileable along") + (tileable.x ? " x" : "") + (tileable.y ? " y" : "");
        const Input kernel{{3, 3, 5, 40}}, bias{{40, 1, 1, 1}};
        check_layer(name, {{{7, 9, 5, 2}}, kernel, bias}, circular({}));
        check_layer(name + ", every second pixel", {{{6, 8, 5, 2}}, kernel, bias}, circular({Geometry::strided}));
        check_layer(name + ", every second, shifted", {{{8, 6, 5, 2}}, kernel, bias},
                    circular({Geometry::strided_asymmetric}));
        check_layer(name + ", resized", {{{3, 5, 5, 2}}, kernel, bias}, circular({Geometry::resized, 7, 10}));
        check_layer(name + ", wide", {{{34, 32, 66, 1}}, {{3, 3, 66, 70}}, {{70, 1, 1, 1}}}, circular({}));
    }
}

void test_epilogues() {
    const std::vector<Input> inputs = {
        {{6, 5, 12, 2}}, {{3, 3, 12, 20}}, {{20, 1, 1, 1}}, {{20, 1, 1, 1}}, {{6, 5, 20, 2}}};
    const auto finished = [](Epilogue epilogue, bool slopes, bool residual) {
        return [=](Layers & layers, std::span<const Tensor> in) mutable {
            if (slopes) epilogue.slopes = in[3];
            if (residual) epilogue.residual = layers.to_image(in[4]);
            return layers.from_image(layers.conv2d({in[1], in[2]}, layers.to_image(in[0]), {}, epilogue));
        };
    };
    Epilogue epilogue;
    epilogue.activation = Activation::relu;
    check_layer("ReLU", inputs, finished(epilogue, false, false), false);
    epilogue.activate_last = true;
    check_layer("ReLU of the sum", inputs, finished(epilogue, false, true), false);
    epilogue = {};
    epilogue.activation = Activation::leaky_relu;
    check_layer("leaky ReLU", inputs, finished(epilogue, false, false), false);
    epilogue.scale = -0.2f;
    check_layer("PReLU and a scaled sum", inputs, finished(epilogue, true, true), false);

    const auto shuffled = [](Layers & layers, std::span<const Tensor> in) {
        Tensor y = layers.to_image(layers.pixel_shuffle(in[0], 2));
        return layers.pixel_unshuffle(layers.from_image(y), 2);
    };
    check_layer("pixels to channels and back", {{{3, 2, 12, 2}}}, shuffled, false);
}

// Convolutions of other kernel sizes and without a bias, and other layers of residual networks.
void test_residual_networks() {
    const auto laid_over = [](Geometry geometry, Activation before) {
        return [=](Layers & layers, std::span<const Tensor> in) {
            return layers.from_image(layers.conv2d({in[1], nullptr}, layers.to_image(in[0]), geometry, {}, before));
        };
    };
    for (const int64_t kernel : {1, 3, 7}) {
        const std::vector<Input> inputs = {{{16, 10, 3, 2}}, {{kernel, kernel, 3, 40}}};
        const std::string name = "a kernel of " + std::to_string(kernel);
        check_layer(name, inputs, laid_over({}, Activation::none));
        check_layer(name + ", every second pixel", inputs, laid_over({Geometry::strided_asymmetric}, Activation::none));
        check_layer(name + " after ReLU", inputs, laid_over({}, Activation::relu));
    }
    const Input channels{{64, 1, 1, 1}};
    const auto normed = [](Layers & layers, std::span<const Tensor> in) {
        Tensor y = layers.norm_conv2d({in[1], in[2]}, 1e-5f, {in[3], nullptr}, layers.to_image(in[0]), {},
                                      Activation::relu, {Geometry::strided_asymmetric});
        return layers.from_image(y);
    };
    for (const int64_t kernel : {1, 3}) {
        check_layer("group norm, ReLU and a convolution",
                    {{{8, 6, 64, 2}}, channels, channels, {{kernel, kernel, 64, 32}}}, normed, false);
    }
    for (const bool relu : {false, true}) {
        const auto sum = [relu](Layers & layers, std::span<const Tensor> in) {
            Tensor image = layers.to_image(in[0]);
            return layers.from_image(layers.group_norm({in[1], in[2]}, 1e-5f, image, relu ? image : nullptr, relu));
        };
        check_layer("group norm and a sum", {{{9, 7, 64, 2}}, channels, channels}, sum, false);
    }
}

void test_resizing() {
    const auto pooled = [](Layers & layers, std::span<const Tensor> in) {
        Tensor image = layers.group_norm({in[1], in[2]}, 1e-5f, layers.to_image(in[0]), nullptr, true);
        return layers.from_image(layers.max_pool(image));
    };
    check_layer("pooling", {{{8, 6, 64, 2}}, {{64, 1, 1, 1}}, {{64, 1, 1, 1}}}, pooled, false);
    const auto resized = [](int64_t width, int64_t height, bool align_corners) {
        return [=](Layers & layers, std::span<const Tensor> in) {
            return layers.from_image(layers.bilinear(layers.to_image(in[0]), width, height, align_corners));
        };
    };
    for (const bool align_corners : {false, true}) {
        check_layer("enlarged", {{{7, 5, 6, 2}}}, resized(14, 10, align_corners), false);
        check_layer("made smaller", {{{7, 5, 6, 2}}}, resized(4, 3, align_corners), false);
        check_layer("one pixel", {{{1, 1, 6, 1}}}, resized(2, 3, align_corners), false);
    }
    const auto tokens = [](Layers & layers, std::span<const Tensor> in) {
        Tensor y = layers.to_tokens(layers.to_image(in[0]));
        return layers.from_image(layers.from_tokens(layers.layer_norm({in[1], in[2]}, y, true, 1e-2f), 5, 3));
    };
    check_layer("pixels as tokens", {{{5, 3, 32, 2}}, {{32, 1, 1, 1}}, {{32, 1, 1, 1}}}, tokens, false);
}

void test_products() {
    const auto product = [](Activation activation) {
        return [=](Layers & layers, std::span<const Tensor> in) {
            Epilogue epilogue;
            epilogue.activation = activation;
            return layers.linear({in[1], in[2]}, in[0], epilogue);
        };
    };
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0}) {
        check_layer(std::string("linear in ") + ggml_type_name(type),
                    {{{32, 77, 2, 1}}, {{32, 12, 1, 1}, type}, {{12, 1, 1, 1}}}, product(Activation::none));
    }
    const std::vector<Input> inputs = {{{64, 77, 2, 1}}, {{64, 88, 1, 1}}, {{88, 1, 1, 1}}};
    check_layer("SiLU", inputs, product(Activation::silu), false);
    check_layer("GELU", inputs, product(Activation::gelu), false);
    check_layer("quick GELU", inputs, product(Activation::quick_gelu), false);
    check_layer("gated GELU", inputs, product(Activation::gated_gelu), false);

    const auto norm = [](Layers & layers, std::span<const Tensor> in) {
        return layers.layer_norm({in[1], in[2]}, in[0], true);
    };
    check_layer("layer norm", {{{70, 9, 2, 1}}, {{70, 1, 1, 1}}, {{70, 1, 1, 1}}}, norm, false);
}

// What transformers have beside products and attention.
void test_modulated_norms() {
    const Input vector{{70, 1, 1, 1}}, of_images{{70, 2, 1, 1}};
    const std::vector<Input> inputs = {{{70, 9, 2, 1}}, vector, vector, of_images, of_images, {{70, 9, 2, 1}}};
    for (const NormKind kind : {NormKind::layer, NormKind::rms}) {
        const std::string name = kind == NormKind::rms ? "RMS norm" : "layer norm";
        const auto norm = [kind](bool weight, bool bias, bool factor, bool shift, bool residual) {
            return [=](Layers & layers, std::span<const Tensor> in) {
                const Norm norm{weight ? in[1] : nullptr, bias ? in[2] : nullptr};
                const Modulation modulation{factor ? in[3] : nullptr, shift ? in[4] : nullptr,
                                            residual ? in[5] : nullptr};
                return layers.token_norm(kind, norm, in[0], 1e-5f, modulation, true);
            };
        };
        check_layer(name + " alone", inputs, norm(false, false, false, false, false), false);
        check_layer(name + " with a weight", inputs, norm(true, false, false, false, false), false);
        check_layer(name + " with a factor for each image", inputs, norm(false, false, true, false, false), false);
        check_layer(name + ", gated and added", inputs, norm(true, false, true, false, true), false);
        check_layer(name + " with everything", inputs, norm(true, true, true, true, true), false);
    }
    // Numbers of which squares do not fit 16 bits.
    const auto large = [](Layers & layers, std::span<const Tensor> in) {
        return layers.token_norm(NormKind::rms, {in[1], nullptr}, in[0], 1e-5f, {}, true);
    };
    check_layer("RMS norm of large numbers", {{{64, 3, 1, 1}, GGML_TYPE_F32, 1e6}, {{64, 1, 1, 1}}}, large, false);
}

void test_rotations() {
    for (const auto & [name, pairs] :
         {std::pair{"neighbours", Rotation::neighbours}, std::pair{"halves", Rotation::halves}}) {
        for (const bool norm : {false, true}) {
            const auto turned = [pairs = pairs, norm](Layers & layers, std::span<const Tensor> in) {
                Tensor y = layers.turn_heads(norm ? in[1] : nullptr, 1e-6f, {in[2], pairs}, in[0]);
                return y->type == GGML_TYPE_F32 ? y : ggml_cast(layers.context(), y, GGML_TYPE_F32);
            };
            for (const int64_t size : {12, 16, 128}) {
                check_layer(std::string("heads of ") + std::to_string(size) + ", turned by " + name +
                                (norm ? ", normalized" : ""),
                            {{{3 * size, 7, 2, 1}}, {{size, 1, 1, 1}}, {{size, 2, 7, 1}}}, turned, false);
            }
        }
    }
}

void test_gated_products() {
    const auto swiglu = [](Layers & layers, std::span<const Tensor> in) {
        Epilogue epilogue;
        epilogue.factor = layers.linear({in[2], nullptr}, in[0]);
        epilogue.activation = Activation::silu;
        return layers.linear({in[1], nullptr}, in[0], epilogue);
    };
    check_layer("SwiGLU", {{{64, 77, 2, 1}}, {{64, 88, 1, 1}}, {{64, 88, 1, 1}}}, swiglu, false);
}

void test_attention() {
    const auto attend = [](int64_t heads, bool causal) {
        return [=](Layers & layers, std::span<const Tensor> in) {
            Tensor y = layers.attention(in[0], in[1], in[2], heads, causal);
            return y->type == GGML_TYPE_F32 ? y : ggml_cast(layers.context(), y, GGML_TYPE_F32);
        };
    };
    check_layer("attention", {{{32, 70, 1, 1}}, {{32, 70, 1, 1}}, {{32, 70, 1, 1}}}, attend(4, false));
    check_layer("attention to a context, a batch", {{{32, 30, 2, 1}}, {{32, 11, 2, 1}}, {{32, 11, 2, 1}}},
                attend(4, false));
    check_layer("attention to many keys", {{{80, 70, 1, 1}}, {{80, 900, 1, 1}}, {{80, 900, 1, 1}}}, attend(2, false));
    check_layer("two heads of keys for six of queries", {{{96, 70, 2, 1}}, {{32, 70, 2, 1}}, {{32, 70, 2, 1}}},
                attend(6, false));
    check_layer("the same, causal", {{{96, 70, 2, 1}}, {{32, 70, 2, 1}}, {{32, 70, 2, 1}}}, attend(6, true), false);
    check_layer("causal attention", {{{64, 77, 2, 1}}, {{64, 77, 2, 1}}, {{64, 77, 2, 1}}}, attend(1, true), false);
    check_layer("long causal attention", {{{64, 600, 1, 1}}, {{64, 600, 1, 1}}, {{64, 600, 1, 1}}}, attend(1, true),
                false);
}

size_t largest_node(const Graph & graph) {
    size_t most = 0;
    for (int i = 0; i < ggml_graph_n_nodes(graph.nodes()); i++) {
        most = std::max(most, ggml_nbytes(ggml_graph_node(graph.nodes(), i)));
    }
    return most;
}

// On devices other than the CPU, tensors within a layer are no larger than a limit. Here the CPU is that device.
void check_scratch(const std::string & what, const std::vector<Input> & inputs, const Build & build, size_t most,
                   double rounding, bool fused) {
    Device device("cpu", 2, Precision::f32);
    int n_nodes = 0;
    Graph whole(Graph::Limits{});
    const std::vector<float> expected = evaluate(device, whole, *make_ggml_layers(whole), inputs, build, n_nodes);
    check(largest_node(whole) > most, what + ": tensors within the layer are large");

    Graph graph(Graph::Limits{INFINITY, static_cast<double>(most), false});
    GgmlArithmetic arithmetic;
    if (fused) arithmetic.device = device.backend();
    const auto layers = make_ggml_layers(graph, {}, arithmetic);
    const std::vector<float> values = evaluate(device, graph, *layers, inputs, build, n_nodes);
    check(largest_node(graph) <= most, what + ": a tensor of " + std::to_string(largest_node(graph)) + " bytes");
    const double error = relative_error(values, expected);
    check(error < rounding, what + ": a relative error of " + std::to_string(error));
}

void test_scratch() {
    for (const int64_t batch : {1, 2}) {
        for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16}) {
            const std::vector<Input> inputs = {{{17, 40, 8, batch}}, {{3, 3, 8, 8}, type}, {{8, 1, 1, 1}}};
            const size_t padded = size_t{18} * 41 * 8 * batch * sizeof(float);
            for (const auto & [name, kind] : {std::pair{"", Geometry::same}, std::pair{", shifted", Geometry::strided},
                                              std::pair{", every second", Geometry::strided_asymmetric}}) {
                // Of every second pixel, columns in f16 are no larger than the padded image.
                if (type == GGML_TYPE_F16 && kind == Geometry::strided_asymmetric) continue;
                check_scratch(std::string("convolution with little memory") + name, inputs, convolution({kind}), padded,
                              1e-5, false);
            }
        }
        const std::vector<Input> inputs(3, Input{{32, 200, batch, 1}});
        const auto attend = [](Layers & layers, std::span<const Tensor> in) {
            return layers.attention(in[0], in[1], in[2], 4);
        };
        const size_t tokens = size_t{32} * 200 * batch * sizeof(float);
        const std::vector<Input> grouped = {{{32, 200, batch, 1}}, {{16, 200, batch, 1}}, {{16, 200, batch, 1}}};
        check_scratch("attention of groups with little memory", grouped, attend, tokens, 1e-5, false);
        check_scratch("attention with little memory", inputs, attend, tokens, 1e-5, false);
        check_scratch("fused attention", inputs, attend, tokens, 5e-3, true);
    }
}

} // namespace

int main() {
    test_convolutions();
    test_residual_blocks();
    test_tileable();
    test_epilogues();
    test_residual_networks();
    test_resizing();
    test_products();
    test_modulated_norms();
    test_rotations();
    test_gated_products();
    test_attention();
    test_scratch();
    return finish();
}
