// A layer cut into slices gives what it gives in one piece.
#include <cmath>
#include <memory>
#include <random>
#include <span>

#include "backend/device.h"
#include "check.h"
#include "ggml-alloc.h"
#include "graph/blocks.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

using Shape = std::array<int64_t, 4>;

struct Input {
    Shape ne;
    ggml_type type = GGML_TYPE_F32;
};

using Build = std::function<Tensor(Graph &, std::span<const Tensor>)>;

// Fills a tensor with normal noise, the same for each index.
void fill(Tensor tensor, unsigned index) {
    std::mt19937 generator(index);
    std::normal_distribution<float> normal;
    std::vector<float> values(ggml_nelements(tensor));
    for (float & value : values) value = normal(generator);
    if (tensor->type == GGML_TYPE_F32) {
        ggml_backend_tensor_set(tensor, values.data(), 0, ggml_nbytes(tensor));
        return;
    }
    std::vector<uint8_t> converted(ggml_nbytes(tensor));
    ggml_quantize_chunk(tensor->type, values.data(), converted.data(), 0, ggml_nrows(tensor), tensor->ne[0], nullptr);
    ggml_backend_tensor_set(tensor, converted.data(), 0, converted.size());
}

std::vector<float> evaluate(Device & device, double node_work, const std::vector<Input> & inputs, const Build & build,
                            int & n_nodes) {
    Graph graph(node_work);
    std::vector<Tensor> tensors;
    for (const Input & input : inputs) {
        tensors.push_back(ggml_new_tensor(graph.context(), input.type, GGML_MAX_DIMS, input.ne.data()));
        ggml_set_input(tensors.back());
    }
    Tensor output = ggml_cont(graph.context(), build(graph, tensors));
    ggml_set_output(output);
    graph.expand(output);
    n_nodes = ggml_graph_n_nodes(graph.nodes());

    const std::unique_ptr<ggml_gallocr, decltype(&ggml_gallocr_free)> memory(
        ggml_gallocr_new(ggml_backend_get_default_buffer_type(device.backend())), ggml_gallocr_free);
    check(ggml_gallocr_alloc_graph(memory.get(), graph.nodes()), "memory for the graph");
    for (size_t i = 0; i < tensors.size(); i++) fill(tensors[i], i);
    check_equal(ggml_backend_graph_compute(device.backend(), graph.nodes()), GGML_STATUS_SUCCESS, "evaluation");
    std::vector<float> result(ggml_nelements(output));
    ggml_backend_tensor_get(output, result.data(), 0, ggml_nbytes(output));
    return result;
}

double relative_error(const std::vector<float> & a, const std::vector<float> & b) {
    double difference = 0, magnitude = 0;
    for (size_t i = 0; i < b.size(); i++) {
        difference = std::fmax(difference, std::isfinite(a[i]) ? std::fabs(a[i] - b[i]) : INFINITY);
        magnitude = std::fmax(magnitude, std::fabs(b[i]));
    }
    return difference / magnitude;
}

void check_slices(const std::string & what, const std::vector<Input> & inputs, const Build & build) {
    Device device("cpu", 1);
    int n_whole = 0;
    const std::vector<float> whole = evaluate(device, INFINITY, inputs, build, n_whole);
    for (const double node_work : {1.0, 10000.0}) { // as many slices as there may be, and few of them
        int n_sliced = 0;
        const std::vector<float> sliced = evaluate(device, node_work, inputs, build, n_sliced);
        check(n_sliced > n_whole, what + ": there are slices");
        check_equal(sliced.size(), whole.size(), what + ": the number of values");
        const double error = relative_error(sliced, whole);
        check(error < 1e-5, what + ": a relative error of " + std::to_string(error));
    }
}

Build convolution(int stride, int padding) {
    return [=](Graph & graph, std::span<const Tensor> in) {
        return conv2d(graph, {in[1], in[2]}, in[0], stride, padding);
    };
}

void test_convolutions() {
    const Input bias{{6, 1, 1, 1}};
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16}) {
        const Input kernel{{3, 3, 5, 6}, type};
        const std::string name = std::string("convolution in ") + ggml_type_name(type);
        check_slices(name, {{{7, 9, 5, 1}}, kernel, bias}, convolution(1, 1));
        check_slices(name + ", a batch", {{{7, 70, 5, 2}}, kernel, bias}, convolution(1, 1));
        check_slices(name + ", every second pixel", {{{7, 9, 5, 2}}, kernel, bias}, convolution(2, 1));
        check_slices(name + ", without padding", {{{8, 11, 5, 2}}, kernel, bias}, convolution(2, 0));
    }
}

void test_products() {
    const auto product = [](Graph & graph, std::span<const Tensor> in) { return linear(graph, {in[1], in[2]}, in[0]); };
    check_slices("linear", {{{32, 77, 2, 1}}, {{32, 12, 1, 1}}, {{12, 1, 1, 1}}}, product);
    check_slices("linear in q8_0", {{{32, 77, 2, 1}}, {{32, 12, 1, 1}, GGML_TYPE_Q8_0}, {{12, 1, 1, 1}}}, product);

    const auto attend = [](Graph & graph, std::span<const Tensor> in) {
        return attention(graph, in[0], in[1], in[2], 4);
    };
    check_slices("attention", {{{32, 70, 1, 1}}, {{32, 70, 1, 1}}, {{32, 70, 1, 1}}}, attend);
    check_slices("attention to a context, a batch", {{{32, 30, 2, 1}}, {{32, 11, 2, 1}}, {{32, 11, 2, 1}}}, attend);
}

} // namespace

int main() {
    test_convolutions();
    test_products();
    return finish();
}
