// Models that are evaluated at the same time, each by its own thread, do not affect each other, even if one is
// cancelled.
#include <atomic>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#include "check.h"
#include "graph/runner.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr int64_t width = 256, tokens = 64; // enough work for both threads of a model

std::vector<float> numbers(int64_t n, float start) {
    std::vector<float> values(n);
    for (int64_t i = 0; i < n; i++) values[i] = std::sin(start + static_cast<float>(i));
    return values;
}

// A transformer block with one head.
class Model {
public:
    Model() : device_("cpu", 2), runner_(device_) {
        ggml_init_params params{};
        params.mem_size = 8 * ggml_tensor_overhead();
        params.no_alloc = true;
        context_.reset(ggml_init(params));
        norm_ = {ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, width),
                 ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, width)};
        for (Tensor & matrix : matrices_) matrix = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, width, width);
        buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), device_.backend()));
        for (Tensor t = ggml_get_first_tensor(context_.get()); t; t = ggml_get_next_tensor(context_.get(), t)) {
            ggml_backend_tensor_set(t, numbers(ggml_nelements(t), 1).data(), 0, ggml_nbytes(t));
        }
    }

    std::vector<float> evaluate(const Cancellation & cancellation) {
        const std::vector<float> x = numbers(width * tokens, 0);
        const auto build = [&](Layers & layers, std::span<const Tensor> in) {
            Tensor y = layers.layer_norm(norm_, in[0]);
            y = layers.attention(layers.linear({matrices_[0], nullptr}, y), layers.linear({matrices_[1], nullptr}, y),
                                 layers.linear({matrices_[2], nullptr}, y), 1);
            Epilogue sum;
            sum.residual = in[0];
            return std::vector<Tensor>{layers.linear({matrices_[3], nullptr}, y, sum)};
        };
        const GraphInput input{GGML_TYPE_F32, {width, tokens, 1, 1}, x.data()};
        return runner_.run("test", "", {input}, build, cancellation).front();
    }

private:
    struct Free {
        void operator()(ggml_context * context) const { ggml_free(context); }
        void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
    };
    Device device_;
    std::unique_ptr<ggml_context, Free> context_;
    std::unique_ptr<ggml_backend_buffer, Free> buffer_;
    Norm norm_;
    std::array<Tensor, 4> matrices_{};
    Runner runner_;
};

void test_models_at_the_same_time() {
    const std::vector<float> expected = Model().evaluate({});
    std::atomic<int> same = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++) {
        threads.emplace_back([&] {
            Model model;
            for (int turn = 0; turn < 20; turn++) same += model.evaluate({}) == expected;
        });
    }
    for (std::thread & thread : threads) thread.join();
    check_equal(same.load(), 60, "evaluations that give the same");
}

void test_cancelling() {
    Model model;
    const std::vector<float> expected = model.evaluate({});
    for (int turn = 0; turn < 20; turn++) {
        const Cancellation cancellation;
        std::atomic<bool> started = false;
        std::thread other([&] {
            started.wait(false);
            cancellation.cancel();
        });
        check_throws("repeated evaluations", ErrorCode::cancelled, "cancelled", [&] {
            while (true) {
                model.evaluate(cancellation);
                started = true;
                started.notify_all();
            }
        });
        other.join();
        check(model.evaluate({}) == expected, "the evaluation after a cancelled one");
    }
}

} // namespace

int main() {
    test_models_at_the_same_time();
    test_cancelling();
    return finish();
}
