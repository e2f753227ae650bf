// ControlNets: a network with this package's kernels and with ggml's operations, and invalid files.
#include <cmath>
#include <cstring>
#include <memory>
#include <random>

#include "check.h"
#include "files.h"
#include "ggml-alloc.h"
#include "graph/runner.h"
#include "network/control_net.h"
#include "source/source.h"
#include "weights/placed_weights.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

// Writes tensors of small random numbers.
class Checkpoint {
public:
    void add(const std::string & name, const std::vector<int64_t> & shape) {
        int64_t n = 1, inputs = 1;
        std::string axes;
        for (size_t i = 0; i < shape.size(); i++) {
            n *= shape[i];
            inputs *= i ? shape[i] : 1;
            axes += (i ? "," : "") + std::to_string(shape[i]);
        }
        const size_t begin = data_.size();
        std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(inputs)));
        for (int64_t i = 0; i < n; i++) data_ += little_endian_bytes(std::bit_cast<uint32_t>(normal(random_)));
        header_ += (header_.empty() ? "{\"" : ",\"") + name + R"(":{"dtype":"F32","shape":[)" + axes +
                   "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(data_.size()) + "]}";
    }
    void layer(const std::string & name, const std::vector<int64_t> & shape) {
        add(name + ".weight", shape);
        add(name + ".bias", {shape[0]});
    }
    std::string file() const {
        const std::string header = header_ + "}";
        return little_endian_bytes<uint64_t>(header.size()) + header + data_;
    }

private:
    std::mt19937 random_{1};
    std::string header_, data_;
};

constexpr int64_t base = 32, context = 16;

void add_residual(Checkpoint & c, const std::string & name, int64_t in, int64_t out) {
    c.layer(name + ".in_layers.0", {in});
    c.layer(name + ".in_layers.2", {out, in, 3, 3});
    c.layer(name + ".emb_layers.1", {out, 4 * base});
    c.layer(name + ".out_layers.0", {out});
    c.layer(name + ".out_layers.3", {out, out, 3, 3});
    if (in != out) c.layer(name + ".skip_connection", {out, in, 1, 1});
}

void add_transformer(Checkpoint & c, const std::string & name, int64_t channels) {
    c.layer(name + ".norm", {channels});
    c.layer(name + ".proj_in", {channels, channels, 1, 1});
    const std::string block = name + ".transformer_blocks.0.";
    for (const auto & [attention, width] : {std::pair<std::string, int64_t>{"attn1.", channels}, {"attn2.", context}}) {
        c.add(block + attention + "to_q.weight", {channels, channels});
        c.add(block + attention + "to_k.weight", {channels, width});
        c.add(block + attention + "to_v.weight", {channels, width});
        c.layer(block + attention + "to_out.0", {channels, channels});
    }
    for (const char * norm : {"norm1", "norm2", "norm3"}) c.layer(block + norm, {channels});
    c.layer(block + "ff.net.0.proj", {8 * channels, channels});
    c.layer(block + "ff.net.2", {channels, 4 * channels});
    c.layer(name + ".proj_out", {channels, channels, 1, 1});
}

// Two levels; the control image has twice the latent's sides. Original names without a prefix.
std::string control_file() {
    Checkpoint c;
    c.layer("time_embed.0", {4 * base, base});
    c.layer("time_embed.2", {4 * base, 4 * base});
    c.layer("input_blocks.0.0", {base, 4, 3, 3});
    add_residual(c, "input_blocks.1.0", base, base);
    add_transformer(c, "input_blocks.1.1", base);
    c.layer("input_blocks.2.0.op", {base, base, 3, 3});
    add_residual(c, "input_blocks.3.0", base, 2 * base);
    add_residual(c, "middle_block.0", 2 * base, 2 * base);
    add_transformer(c, "middle_block.1", 2 * base);
    add_residual(c, "middle_block.2", 2 * base, 2 * base);
    const int64_t hints[] = {3, 16, 16, 24, base}, skips[] = {base, base, base, 2 * base};
    for (int64_t i = 0; i < 4; i++) {
        c.layer("input_hint_block." + std::to_string(2 * i), {hints[i + 1], hints[i], 3, 3});
        c.layer("zero_convs." + std::to_string(i) + ".0", {skips[i], skips[i], 1, 1});
    }
    c.layer("middle_block_out.0", {2 * base, 2 * base, 1, 1});
    return c.file();
}

std::vector<float> noise(int64_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(n);
    for (float & value : values) value = normal(random);
    return values;
}

struct Opened {
    explicit Opened(const std::string & path) {
        Source source;
        source.control_net = path;
        tensors = open_source(source, {});
        weights = std::make_unique<WeightBinder>(tensors.table);
        net = std::make_unique<ControlNet>(*weights, ControlNet::read_config(*weights));
    }
    ModelTensors tensors;
    std::unique_ptr<WeightBinder> weights;
    std::unique_ptr<ControlNet> net;
};

// All residuals, concatenated, for a latent of 6x5 with five channels.
std::vector<float> residuals(const std::string & path, Device & device, Graph & graph, Layers & layers,
                             float strength) {
    const Opened opened(path);
    const PlacedWeights placed(opened.tensors.table, opened.weights->bindings(), target_of(device, false),
                               Placement::mapped, nullptr, {});
    ggml_context * ctx = graph.context();
    const std::vector<std::pair<std::array<int64_t, 4>, std::vector<float>>> values = {
        {{6, 5, 5, 2}, noise(300, 1)},   {{2, 1, 1, 1}, {601.5f, 20}}, {{context, 7, 2, 1}, noise(224, 2)},
        {{12, 10, 3, 1}, noise(360, 3)}, {{1, 1, 1, 1}, {strength}},
    };
    std::vector<Tensor> in;
    for (const auto & [ne, data] : values) in.push_back(ggml_new_tensor(ctx, GGML_TYPE_F32, 4, ne.data()));
    for (Tensor tensor : in) ggml_set_input(tensor);
    const UnetResiduals made = opened.net->build(layers, {in[0], in[1], in[2]}, in[3], in[4]);
    std::vector<Tensor> outputs = made.skips;
    outputs.push_back(made.middle);
    for (Tensor & output : outputs) {
        output = layers.from_image(output);
        ggml_set_output(output);
        graph.expand(output);
    }
    const std::unique_ptr<ggml_gallocr, decltype(&ggml_gallocr_free)> memory(
        ggml_gallocr_new(ggml_backend_get_default_buffer_type(device.backend())), ggml_gallocr_free);
    check(ggml_gallocr_alloc_graph(memory.get(), graph.nodes()), "memory for the graph");
    for (size_t i = 0; i < in.size(); i++)
        ggml_backend_tensor_set(in[i], values[i].second.data(), 0, ggml_nbytes(in[i]));
    graph.allocate_scratch(device.threads());
    check_equal(ggml_backend_graph_compute(device.backend(), graph.nodes()), GGML_STATUS_SUCCESS, "evaluation");
    std::vector<float> all;
    for (Tensor output : outputs) {
        std::vector<float> part(ggml_nelements(output));
        ggml_backend_tensor_get(output, part.data(), 0, ggml_nbytes(output));
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

void agrees_with_ggml(const TemporaryFolder & folder) {
    const std::string path = folder.write("control.safetensors", control_file());
    const Opened opened(path);
    const ControlNetConfig & c = opened.net->config();
    check(opened.weights->missing().empty() && opened.weights->mismatched().empty(), "all tensors are there");
    check(c.skip_channels() == std::vector<int64_t>{base, base, base, 2 * base}, "channels of the skips");
    check_equal(c.hint_factor(), 2, "pixels of a cell");
    Device device("cpu", 2, Precision::f32);
    device.set_threads(2);
    const auto by_ggml = [&](float strength) {
        Graph graph(Graph::Limits{});
        return residuals(path, device, graph, *make_ggml_layers(graph), strength);
    };
    const std::vector<float> expected = by_ggml(0.7f);
    check_equal(expected.size(), size_t{2 * ((30 + 30 + 9) * base + 2 * 9 * 2 * base)}, "the number of values");
    const auto largest_difference = [&](const std::vector<float> & values, float factor) {
        double difference = 0, magnitude = 0;
        for (size_t i = 0; i < expected.size(); i++) {
            difference = std::fmax(difference, std::fabs(values[i] - factor * expected[i]));
            magnitude = std::fmax(magnitude, std::fabs(expected[i]));
        }
        return difference / magnitude;
    };
    if (device.cpu()) {
        Graph graph(Graph::Limits{});
        const std::vector<float> values = residuals(path, device, graph, *device.make_layers(graph), 0.7f);
        check(largest_difference(values, 1) < 1e-4, "kernels agree with ggml");
    }
    check(largest_difference(by_ggml(1.4f), 2) < 1e-5, "residuals are proportional to the strength");
    check(largest_difference(by_ggml(0), 0) == 0, "a strength of 0 gives zeros");
}

// Reading any file ends with an Error, or with tensors noted as missing or of the wrong shape.
void reads_hostile_files(const TemporaryFolder & folder) {
    const auto open = [&](const std::vector<std::string> & names) {
        return Opened(folder.write("hostile.safetensors", safetensors_of(names)));
    };
    for (const std::vector<std::string> & names : std::vector<std::vector<std::string>>{
             {"zero_convs.0.0.weight"},
             {"input_hint_block.0.weight", "input_hint_block.2.weight", "input_blocks.0.0.weight"},
             {"input_hint_block.0.weight", "input_hint_block.99.weight", "zero_convs.9999999999999999999.0.weight"},
             {"controlnet_cond_embedding.blocks.99.bias", "controlnet_down_blocks.99.weight"},
             {"control_model.input_blocks.1.0.out_layers.3.weight", "control_model.input_hint_block.0.bias"},
             {"controlnet_mid_block.weight", "down_blocks.99.resnets.99.conv1.weight"},
         }) {
        try {
            const Opened opened = open(names);
            check(!opened.weights->missing().empty() || !opened.weights->mismatched().empty(),
                  names[0] + " is complete");
        } catch (const Error & error) {
            check(error.code() == ErrorCode::model_unsupported, names[0] + ": " + error.what());
        }
    }
    check_throws("another file", ErrorCode::model_unsupported, "holds no tensor of a ControlNet",
                 [&] { open({"model.diffusion_model.out.2.bias"}); });
    check_throws("65 blocks", ErrorCode::model_unsupported, "This ControlNet is not supported", [&] {
        open({"input_blocks.65.0.in_layers.0.weight", "input_hint_block.0.weight", "zero_convs.0.0.weight"});
    });
}

} // namespace

int main() {
    const TemporaryFolder folder;
    agrees_with_ggml(folder);
    reads_hostile_files(folder);
    return finish();
}
