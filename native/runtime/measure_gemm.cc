// See measure_gemm.h.
#include "runtime/measure_gemm.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "backend/cores.h"
#include "backend/memory.h"
#include "ggml-alloc.h"

namespace diffusion {

namespace {

// Not a power of two, which would map all rows to the same few cache sets.
constexpr int64_t size = 3840;
constexpr double least_seconds = 1;

struct FreeContext {
    void operator()(ggml_context * context) const { ggml_free(context); }
};

struct FreeBuffer {
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
};

// Both factors, filled, outside the graph like a network's weights and inputs.
class Factors {
public:
    explicit Factors(Device & device) {
        require_memory(2 * size * size * sizeof(float), device.backend(), "measuring a matrix product");
        context_.reset(require_made(ggml_init({2 * ggml_tensor_overhead(), nullptr, true})));
        const bool rounded = device.cpu() && device.cpu()->kernels.operand == GGML_TYPE_BF16;
        a = ggml_new_tensor_2d(context_.get(), rounded ? GGML_TYPE_BF16 : GGML_TYPE_F32, size, size);
        weight = ggml_new_tensor_2d(context_.get(), a->type, size, size);
        buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), device.backend()));
        if (!buffer_) throw out_of_memory(2 * ggml_nbytes(a), device.backend(), "measuring a matrix product");
        std::vector<float> row(size);
        for (int64_t i = 0; i < size; i++) row[i] = static_cast<float>(std::sin(i));
        std::vector<uint8_t> stored(a->nb[1]);
        ggml_quantize_chunk(a->type, row.data(), stored.data(), 0, 1, size, nullptr);
        for (int64_t i = 0; i < size; i++) {
            ggml_backend_tensor_set(a, stored.data(), i * a->nb[1], a->nb[1]);
            ggml_backend_tensor_set(weight, stored.data(), i * a->nb[1], a->nb[1]);
        }
    }

    Tensor a, weight; // [in, rows], [in, out]

private:
    std::unique_ptr<ggml_context, FreeContext> context_;
    std::unique_ptr<ggml_backend_buffer, FreeBuffer> buffer_;
};

} // namespace

GemmRate measure_gemm(int threads, Precision precision, const Cancellation & cancellation) {
    using Clock = std::chrono::steady_clock;
    Device device("cpu", threads, precision);
    const Factors factors(device);
    Graph graph(Graph::Limits{}); // not sliced
    graph.expand(device.make_layers(graph)->linear({factors.weight, nullptr}, factors.a));
    const size_t n_bytes = size * size * sizeof(float) + graph.scratch_bytes(threads);
    require_memory(n_bytes, device.backend(), "measuring a matrix product");
    const std::unique_ptr<ggml_backend_buffer, FreeBuffer> memory(
        ggml_backend_alloc_ctx_tensors(graph.context(), device.backend()));
    if (!memory) throw out_of_memory(n_bytes, device.backend(), "measuring a matrix product");
    graph.allocate_scratch(threads);
    graph.set_cancellation(&cancellation);
    device.set_cancellation(&cancellation);
    device.set_threads(threads);
    const CoreLease cores(threads, cancellation);

    GemmRate rate;
    rate.operand = device.cpu() ? ggml_type_name(device.cpu()->kernels.operand) : ggml_type_name(factors.a->type);
    rate.flop = 2.0 * size * size * size;
    rate.seconds = INFINITY;
    const auto compute = [&] {
        const auto start = Clock::now();
        const ggml_status status = ggml_backend_graph_compute(device.backend(), graph.nodes());
        cancellation.throw_if_cancelled();
        if (status != GGML_STATUS_SUCCESS)
            throw Error(ErrorCode::device, "The CPU failed to compute a matrix product.");
        return std::chrono::duration<double>(Clock::now() - start).count();
    };
    compute(); // packs the weights
    for (double total = 0; total < least_seconds; rate.runs++) {
        const double seconds = compute();
        rate.seconds = std::min(rate.seconds, seconds);
        total += seconds;
    }
    return rate;
}

} // namespace diffusion
