// A network of convolutions gives the same in tiles as in one piece, with little memory and with much.
#include "graphs.h"
#include "network/tile_plan.h"
#include "network/tiled_chain.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr float eps = 1e-6f;
constexpr int64_t width = 22, height = 18; // of the smallest image

// Layers as of an autoencoder, from weights that are handed out in the order of `shapes`.
class Network {
public:
    // To images of twice the side, or of half.
    explicit Network(bool enlarges) : enlarges_(enlarges) {}

    std::vector<Input> inputs(int64_t batch) const {
        const int64_t times = enlarges_ ? 1 : 2;
        const Input norm{{32, 1, 1, 1}}, wide{{64, 1, 1, 1}};
        const auto matrix = [](const Shape & ne) { // to results of about the same size as the input
            return Input{ne, GGML_TYPE_F32,
                         1 / std::sqrt(static_cast<float>(ne[3] > 1 ? ne[0] * ne[1] * ne[2] : ne[0]))};
        };
        const auto conv = [&](int64_t in, int64_t out) { return matrix({3, 3, in, out}); };
        std::vector<Input> all{{{times * width, times * height, 4, batch}}, conv(4, 32), norm};
        for (int i = 0; i < 2; i++) add(all, {norm, norm, conv(32, 32), norm, norm, norm, conv(32, 32), norm});
        add(all, {norm, norm});
        for (int i = 0; i < 4; i++) add(all, {matrix({32, 32, 1, 1}), norm});
        add(all, {conv(32, 32), norm});                                             // resampled
        add(all, {norm, norm, conv(32, 64), wide, wide, wide, conv(64, 64), wide}); // wider
        add(all, {matrix({32, 64, 1, 1}),
                  wide,
                  wide,
                  wide,
                  conv(64, 3),
                  {{3, 1, 1, 1}},
                  matrix({3, 3, 1, 1}),
                  {{3, 1, 1, 1}}});
        return all;
    }

    std::vector<TiledLayer> chain(std::span<const Tensor> in) const {
        size_t next = 1;
        const auto norm = [&] { return next += 2, Norm{in[next - 2], in[next - 1]}; };
        const auto conv = [&] { return next += 2, Conv2d{in[next - 2], in[next - 1]}; };
        const auto linear = [&] { return next += 2, Linear{in[next - 2], in[next - 1]}; };
        std::vector<TiledLayer> all;
        const auto add = [&](TiledLayer layer) {
            layer.input = static_cast<int>(all.size());
            all.push_back(std::move(layer));
        };
        const auto convolution = [&](bool normed, int residual = -1, Geometry::Kind geometry = Geometry::same) {
            TiledLayer layer;
            if (normed) layer.norm = norm();
            layer.conv = conv();
            layer.residual = residual;
            layer.geometry = geometry;
            add(std::move(layer));
        };
        const auto block = [&] {
            const int input = static_cast<int>(all.size());
            convolution(true);
            convolution(true, input);
        };
        convolution(false);
        block();
        block();
        TiledLayer attention;
        attention.attention = ImageAttention{norm(), linear(), linear(), linear(), linear()};
        add(std::move(attention));
        convolution(false, -1, enlarges_ ? Geometry::resized : Geometry::strided_asymmetric);
        block();
        all.back().skip = linear();
        convolution(true);
        all.back().last = linear();
        return all;
    }

    // All in one piece.
    static Tensor whole(Layers & layers, const std::vector<TiledLayer> & chain, Tensor planes) {
        std::vector<Tensor> images{layers.to_image(planes)};
        for (const TiledLayer & layer : chain) {
            const Tensor x = images[layer.input];
            if (const auto & a = layer.attention) {
                Tensor y = layers.norm_tokens(a->norm, eps, x);
                y = layers.attention(layers.linear(a->q, y), layers.linear(a->k, y), layers.linear(a->v, y), 1);
                images.push_back(layers.add_tokens(a->out, y, x));
                continue;
            }
            Geometry geometry{layer.geometry, 2 * layers.image_width(x), 2 * layers.image_height(x)};
            Epilogue epilogue;
            if (layer.residual >= 0) epilogue.residual = images[layer.residual];
            if (layer.skip) epilogue.residual = layers.pointwise(*layer.skip, epilogue.residual);
            Tensor y = layer.norm
                           ? layers.norm_conv2d(*layer.norm, eps, layer.conv, x, epilogue, Activation::silu, geometry)
                           : layers.conv2d(layer.conv, x, geometry, epilogue);
            images.push_back(layer.last ? layers.pointwise(*layer.last, y) : y);
        }
        return layers.from_image(images.back());
    }

    // In tiles, if `tiles` has a side.
    Build build(const TileOptions & tiles) const {
        return [=, this](Layers & layers, std::span<const Tensor> in) {
            layers.set_tileable(tiles.tileable);
            const std::vector<TiledLayer> layers_of = chain(in);
            const Tensor planes = in[0];
            if (tiles.side == 0) return whole(layers, layers_of, planes);
            const auto item = [&](int64_t i) {
                return layers.to_image(ggml_view_4d(layers.context(), planes, planes->ne[0], planes->ne[1],
                                                    planes->ne[2], 1, planes->nb[1], planes->nb[2], planes->nb[3],
                                                    i * planes->nb[3]));
            };
            return evaluate_in_tiles(layers, layers_of, eps, planes->ne[2], planes->ne[3], item, tiles);
        };
    }

private:
    static void add(std::vector<Input> & all, const std::vector<Input> & more) {
        all.insert(all.end(), more.begin(), more.end());
    }
    bool enlarges_;
};

// Root mean square, of the second's.
double mean_error(const std::vector<float> & a, const std::vector<float> & b) {
    double difference = 0, magnitude = 0;
    for (size_t i = 0; i < b.size(); i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        magnitude += b[i] * b[i];
    }
    return std::sqrt(difference / magnitude);
}

struct Case {
    bool enlarges;
    Tileable tileable;
    int64_t batch;
};

void compare(Device & device, const Case & c) {
    constexpr size_t much = size_t{1} << 30, capacity = 1 << 16;
    const Network network(c.enlarges);
    const std::vector<Input> inputs = network.inputs(c.batch);
    TileOptions tiles;
    tiles.tileable = c.tileable;
    const auto evaluated = [&](Graph & graph, Layers & layers) {
        int n_nodes = 0;
        return evaluate(device, graph, layers, inputs, network.build(tiles), n_nodes);
    };
    Graph graph(Graph::Limits{});
    const std::vector<float> whole = evaluated(graph, *make_ggml_layers(graph));
    tiles.side = 8;
    for (const size_t memory : {much, size_t{0}}) {
        tiles.memory = memory;
        const auto check_values = [&](const std::string & kernels, const std::vector<float> & values, double most) {
            const std::string name = std::string(c.enlarges ? "enlarging" : "reducing") + (c.tileable.x ? " x" : "") +
                                     (c.tileable.y ? " y" : "") + (memory ? ", much memory, " : ", little memory, ") +
                                     kernels;
            check_equal(values.size(), whole.size(), name + ": the number of values");
            const double error = mean_error(values, whole);
            check(error < most, name + ": a relative error of " + std::to_string(error));
        };
        Graph tiled(Graph::Limits{}, capacity);
        check_values("ggml", evaluated(tiled, *make_ggml_layers(tiled)), 1e-4);
        for (const Kernels * kernels : available_kernels()) {
            CpuContext cpu(*kernels, device.threads());
            Graph ours(Graph::Limits{}, capacity);
            // With little memory images are kept in a byte a number.
            const bool exact = kernels->operand == GGML_TYPE_F32 && memory;
            check_values(kernels->name, evaluated(ours, *make_cpu_layers(ours, cpu)), exact ? 1e-4 : 0.05);
        }
    }
}

} // namespace

int main() {
    Device device("cpu", 2, Precision::f32);
    for (const bool enlarges : {true, false}) {
        compare(device, {enlarges, {}, 1});
        compare(device, {enlarges, {true, false}, 2});
        compare(device, {enlarges, {true, true}, 1});
    }
    return finish();
}
