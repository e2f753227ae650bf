// A graph whose weights are streamed in parts gives the numbers that it gives with weights in place. The CPU stands in for a
// device with memory of its own.

#include <memory>

#include "check.h"
#include "graph/weight_stream.h"
#include "graphs.h"

namespace diffusion::test {

namespace {

constexpr int64_t side = 64;
constexpr size_t weight_bytes = side * side * sizeof(float);

struct FreeSched {
    void operator()(ggml_backend_sched_t sched) const { ggml_backend_sched_free(sched); }
};

class Network {
public:
    explicit Network(ggml_backend_t backend) : backend_(backend) {
        ggml_init_params params{};
        params.mem_size = 16 * ggml_tensor_overhead();
        params.no_alloc = true;
        context_.reset(ggml_init(params));
        for (int i = 0; i < 9; i++) weights.push_back(ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, side, side));
        memory_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), backend));
        for (size_t i = 0; i < weights.size(); i++) fill(weights[i], i, 0.1f);
        for (const Tensor weight : weights) stored.push_back(weight->data);
        placed = std::vector<ggml_tensor>();
        for (const Tensor weight : weights) placed.push_back(*weight);
    }

    // A product with each weight in turn, of one also through a view, and with the first once more at the end.
    std::unique_ptr<Graph> graph(Tensor & input, Tensor & output) const {
        auto graph = std::make_unique<Graph>(Graph::Limits{});
        ggml_context * const context = graph->context();
        input = ggml_new_tensor_2d(context, GGML_TYPE_F32, side, 3);
        ggml_set_input(input);
        Tensor x = input;
        for (size_t i = 0; i < weights.size(); i++) {
            Tensor weight =
                i == 4 ? ggml_view_2d(context, weights[i], side, side / 2, weights[i]->nb[1], 0) : weights[i];
            x = ggml_mul_mat(context, weight, x);
            if (i == 4) x = ggml_concat(context, x, x, 0);
            graph->expand(x);
        }
        output = ggml_mul_mat(context, weights.front(), x);
        ggml_set_output(output);
        graph->expand(output);
        return graph;
    }

    ggml_backend_t backend() const { return backend_; }
    std::vector<Tensor> weights;
    std::vector<const void *> stored;
    std::vector<ggml_tensor> placed;

private:
    ggml_backend_t backend_;
    struct FreeContext {
        void operator()(ggml_context * context) const { ggml_free(context); }
    };
    std::unique_ptr<ggml_context, FreeContext> context_;
    BackendBuffer memory_;
};

struct Evaluation {
    WeightStream * stream;
    int stops = 0;
    static bool on_node(ggml_tensor * node, bool ask, void * data) {
        auto & self = *static_cast<Evaluation *>(data);
        const bool ends = self.stream && self.stream->ends_part(node);
        if (ask || !ends) return ends || !ask;
        self.stops++;
        self.stream->next();
        return true;
    }
};

// Evaluates it as often with inputs that differ; `streamed`: nullptr for weights in place.
std::vector<float> evaluate(const Network & network, const StreamedWeights * streamed, size_t window, size_t parts) {
    Tensor input = nullptr, output = nullptr;
    const std::unique_ptr<Graph> graph = network.graph(input, output);
    ggml_backend_t backend = network.backend();
    const std::unique_ptr<ggml_backend_sched, FreeSched> sched(
        ggml_backend_sched_new(&backend, nullptr, 1, 2 * ggml_graph_n_nodes(graph->nodes()) + 64, false, false));
    check(ggml_backend_sched_alloc_graph(sched.get(), graph->nodes()), "memory for the graph");
    std::unique_ptr<WeightStream> stream;
    if (streamed) {
        stream = std::make_unique<WeightStream>(*streamed, *graph, window);
        check(!stream->empty(), "weights are streamed");
        check_equal(stream->parts(), parts, "parts");
        check(stream->bytes() <= 2 * std::max(window, weight_bytes) + weight_bytes,
              "windows and the weight that stays");
        check(stream->allocate(*graph), "memory for weights");
    }
    std::vector<float> results;
    for (unsigned round = 0; round < 2; round++) {
        fill(input, 100 + round, 1);
        Evaluation evaluation{stream.get()};
        ggml_backend_sched_set_eval_callback(sched.get(), Evaluation::on_node, &evaluation);
        if (stream) stream->begin();
        check_equal(ggml_backend_sched_graph_compute(sched.get(), graph->nodes()), GGML_STATUS_SUCCESS, "evaluation");
        if (stream) stream->end();
        check_equal(evaluation.stops, static_cast<int>(parts) - 1, "stops");
        std::vector<float> values(ggml_nelements(output));
        ggml_backend_tensor_get(output, values.data(), 0, ggml_nbytes(output));
        results.insert(results.end(), values.begin(), values.end());
    }
    return results;
}

} // namespace

} // namespace diffusion::test

int main() {
    using namespace diffusion;
    using namespace diffusion::test;
    Device device("cpu", 1);
    device.set_threads(1);
    Network network(device.backend());
    const std::vector<float> expected = evaluate(network, nullptr, 0, 1);
    {
        StreamedWeights streamed(device.backend());
        for (size_t i = 0; i < network.weights.size(); i++) streamed.add(network.weights[i], network.stored[i]);
        // A window of no bytes has a weight all the same.
        for (const auto & [window, parts] :
             {std::pair<size_t, size_t>{0, 9}, {weight_bytes, 9}, {3 * weight_bytes, 3}, {64 * weight_bytes, 1}}) {
            check(evaluate(network, &streamed, window, parts) == expected, "the same numbers, streamed");
            for (const Tensor weight : network.weights) {
                check(streamed.find(weight) != nullptr, "weights have no memory on the device afterwards");
            }
        }
        // Weights with memory of their own are not streamed.
        *network.weights[2] = network.placed[2];
        check(streamed.find(network.weights[2]) == nullptr, "a weight with memory");
        check(evaluate(network, &streamed, weight_bytes, 8) == expected, "the same numbers, one weight in place");
        for (size_t i = 0; i < network.weights.size(); i++) {
            streamed.forget(network.weights[i]);
            *network.weights[i] = network.placed[i];
        }
    }
    check(evaluate(network, nullptr, 0, 1) == expected, "the same numbers, in place again");
    return finish();
}
