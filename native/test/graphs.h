// Graphs that tests evaluate with inputs of noise.
#pragma once

#include <cmath>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "check.h"
#include "ggml-alloc.h"
#include "graph/device.h"
#include "graph/layers.h"

namespace diffusion::test {

using Shape = std::array<int64_t, 4>;

struct Input {
    Shape ne;
    ggml_type type = GGML_TYPE_F32;
    float scale = 1; // standard deviation of its numbers
};

using Build = std::function<Tensor(Layers &, std::span<const Tensor>)>;

// Fills a tensor with normal noise, the same for each index.
inline void fill(Tensor tensor, unsigned index, float scale) {
    std::mt19937 generator(index);
    std::normal_distribution<float> normal;
    std::vector<float> values(ggml_nelements(tensor));
    for (float & value : values) value = scale * normal(generator);
    if (tensor->type == GGML_TYPE_F32) {
        ggml_backend_tensor_set(tensor, values.data(), 0, ggml_nbytes(tensor));
        return;
    }
    std::vector<uint8_t> converted(ggml_nbytes(tensor));
    ggml_quantize_chunk(tensor->type, values.data(), converted.data(), 0, ggml_nrows(tensor), tensor->ne[0], nullptr);
    ggml_backend_tensor_set(tensor, converted.data(), 0, converted.size());
}

inline std::vector<float> evaluate(Device & device, Graph & graph, Layers & layers, const std::vector<Input> & inputs,
                                   const Build & build, int & n_nodes) {
    // Outside the graph, like weights: operations read some of them without having them as sources.
    ggml_init_params params{};
    params.mem_size = inputs.size() * ggml_tensor_overhead();
    params.no_alloc = true;
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(ggml_init(params), ggml_free);
    std::vector<Tensor> tensors;
    for (const Input & input : inputs) {
        tensors.push_back(ggml_new_tensor(context.get(), input.type, GGML_MAX_DIMS, input.ne.data()));
    }
    const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> weights(
        ggml_backend_alloc_ctx_tensors(context.get(), device.backend()), ggml_backend_buffer_free);
    for (size_t i = 0; i < tensors.size(); i++) fill(tensors[i], i, inputs[i].scale);

    Tensor output = ggml_cont(graph.context(), build(layers, tensors));
    ggml_set_output(output);
    graph.expand(output);
    n_nodes = ggml_graph_n_nodes(graph.nodes());

    const std::unique_ptr<ggml_gallocr, decltype(&ggml_gallocr_free)> memory(
        ggml_gallocr_new(ggml_backend_get_default_buffer_type(device.backend())), ggml_gallocr_free);
    check(ggml_gallocr_alloc_graph(memory.get(), graph.nodes()), "memory for the graph");
    graph.allocate_scratch(device.threads());
    device.set_threads(device.threads());
    check_equal(ggml_backend_graph_compute(device.backend(), graph.nodes()), GGML_STATUS_SUCCESS, "evaluation");
    std::vector<float> result(ggml_nelements(output));
    ggml_backend_tensor_get(output, result.data(), 0, ggml_nbytes(output));
    return result;
}

inline double relative_error(const std::vector<float> & a, const std::vector<float> & b) {
    double difference = 0, magnitude = 0;
    for (size_t i = 0; i < b.size(); i++) {
        difference = std::fmax(difference, std::isfinite(a[i]) ? std::fabs(a[i] - b[i]) : INFINITY);
        magnitude = std::fmax(magnitude, std::fabs(b[i]));
    }
    return difference / magnitude;
}

} // namespace diffusion::test
