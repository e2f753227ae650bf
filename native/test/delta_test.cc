// LoRAs on weights of every type: added in f32, and rounded once.
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "cpu/packed_weights.h"
#include "ggml-alloc.h"
#include "graph/device.h"
#include "lora/adapter.h"
#include "weights/changed_tensors.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

Matrix noise(int64_t rows, int64_t columns, unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    Matrix m{rows, columns, std::vector<float>(rows * columns)};
    for (float & value : m.values) value = normal(generator);
    return m;
}

// A context with room for a few tensors and their values.
class Memory {
public:
    Memory() : context_(ggml_init({size_t{8} << 20, nullptr, false}), ggml_free) {}

    Tensor tensor(const Matrix & m, ggml_type type) {
        const Tensor tensor = ggml_new_tensor_2d(context_.get(), type, m.columns, m.rows);
        ggml_quantize_chunk(type, m.values.data(), tensor->data, 0, m.rows, m.columns, nullptr);
        return tensor;
    }

private:
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context_;
};

Matrix numbers_of(Tensor tensor) {
    Matrix m{tensor->ne[1], tensor->ne[0], std::vector<float>(ggml_nelements(tensor))};
    number_type(tensor->type).widen(tensor->data, m.values.data(), ggml_nelements(tensor));
    return m;
}

void test_products() {
    for (const Kernels * kernels : available_kernels()) {
        for (const int64_t rows : {1, 3, 4, 9}) {
            for (const int64_t inner : {1, 4, 7}) {
                for (const int64_t columns : {1, 16, 37, 1030}) {
                    const Matrix a = noise(rows, inner, 1), b = noise(inner, columns, 2);
                    Matrix expected = noise(rows, columns, 3), y = expected;
                    add_product(0.7f, a.values.data(), rows, inner, b.values.data(), columns, expected.values.data());
                    kernels->add_product(0.7f, a.values.data(), rows, inner, b.values.data(), columns, y.values.data());
                    check(std::memcmp(y.values.data(), expected.values.data(), y.values.size() * sizeof(float)) == 0,
                          std::string(kernels->name) + ": a product of " + std::to_string(rows) + " x " +
                              std::to_string(inner) + " x " + std::to_string(columns) + " in every bit");
                }
            }
        }
    }
}

std::vector<char> panels(PackedMatrix & matrix) {
    std::vector<char> all, scratch(matrix.scratch_bytes() + 64);
    void * aligned = scratch.data();
    size_t room = scratch.size();
    std::align(64, matrix.scratch_bytes(), aligned, room);
    for (int64_t i = 0; i < matrix.panels(); i++) {
        const auto * panel = static_cast<const char *>(matrix.panel(i, aligned));
        all.insert(all.end(), panel, panel + matrix.bytes() / matrix.panels());
    }
    return all;
}

// The panels of a weight with a delta are those of the sum in f32.
void test_panels() {
    constexpr int64_t in = 256, out = 96; // whole panels of every kernel
    const std::shared_ptr<const RowDelta> delta = lora_delta({noise(out, 6, 5), noise(6, in, 6), {}}, 0.1f);
    for (const Kernels * kernels : available_kernels()) {
        for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0,
                                     GGML_TYPE_Q4_K, GGML_TYPE_Q2_K, GGML_TYPE_IQ4_XS}) {
            for (const WeightForm form : {WeightForm::matrix, WeightForm::gated_matrix}) {
                const std::string what = std::string(kernels->name) + ", " + ggml_type_name(type);
                Memory memory;
                const Tensor weight = memory.tensor(noise(out, in, 4), type);
                Matrix sum = numbers_of(weight);
                delta->add(add_product, 0, out, sum.values.data(), nullptr);
                PackedWeights weights(*kernels), expected(*kernels);
                weights.set_deltas({{weight, delta}});
                PackedMatrix & matrix = weights.matrix(weight, form);
                check(panels(matrix) == panels(expected.matrix(memory.tensor(sum, GGML_TYPE_F32), form)),
                      what + ": the sum is rounded once");
                const bool larger = ggml_nbytes(weight) < in * out * kernels->operand_size;
                check_equal(matrix.where() == Panels::kept, !larger,
                            what + ": no copy that is larger than the weight is kept");
            }
        }
    }
}

// While weights are streamed, panels are the same, share memory, and are packed anew for each operation.
void test_streamed_panels() {
    constexpr int64_t in = 256, out = 96;
    for (const Kernels * kernels : available_kernels()) {
        for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0}) {
            const std::string what = std::string(kernels->name) + ", " + ggml_type_name(type);
            Memory memory;
            const Tensor weight = memory.tensor(noise(out, in, 4), type),
                         other = memory.tensor(noise(out, in, 5), type);
            PackedWeights weights(*kernels);
            const std::vector<char> expected = panels(weights.matrix(weight, WeightForm::matrix));
            int released = 0;
            weights.on_packed = [&](Tensor) { released++; };
            weights.set_streaming(true);
            for (int round = 0; round < 2; round++) {
                PackedMatrix & matrix = weights.matrix(weight, WeightForm::matrix);
                PackedMatrix & second = weights.matrix(other, WeightForm::matrix);
                check(panels(matrix) == expected, what + ": streamed panels are the same");
                matrix.finish();
                check(panels(second) != expected, what + ": another weight has others");
                second.finish();
                check_equal(released, 2 * (round + 1), what + ": the file is released after each operation");
            }
            check_equal(weights.packed_bytes(weight), size_t{0}, what + ": no panels are kept");
            check_equal(weights.pending_bytes(), size_t{0}, what + ": none are to be kept");
            weights.set_streaming(false);
            check(panels(weights.matrix(weight, WeightForm::matrix)) == expected, what + ": and the same afterwards");
        }
    }
}

std::vector<float> numbers_on(Tensor tensor) {
    std::vector<uint8_t> bytes(ggml_nbytes(tensor));
    ggml_backend_tensor_get(tensor, bytes.data(), 0, bytes.size());
    std::vector<float> values(ggml_nelements(tensor));
    number_type(tensor->type).widen(bytes.data(), values.data(), ggml_nelements(tensor));
    return values;
}

// A weight on a device that computes with ggml's operations, and what is bound to it.
class DeviceWeight {
public:
    DeviceWeight(ggml_backend_t backend, const Matrix & m, ggml_type type) : source_(memory_.tensor(m, type)) {
        context_.reset(ggml_init({ggml_tensor_overhead(), nullptr, true}));
        tensor = ggml_new_tensor_2d(context_.get(), type, m.columns, m.rows);
        buffer_.reset(ggml_backend_alloc_ctx_tensors(context_.get(), backend));
        ggml_backend_tensor_set(tensor, source_->data, 0, ggml_nbytes(tensor));
        stored_.type = &number_type(type);
        stored_.n_dims = 2;
        stored_.ne[0] = m.columns;
        stored_.ne[1] = m.rows;
        stored_.data = static_cast<const uint8_t *>(source_->data);
        stored_.n_bytes = ggml_nbytes(tensor);
        binding = {tensor, &stored_, nullptr, true};
    }

    Matrix numbers() const { return numbers_of(source_); }

    Tensor tensor;
    WeightBinder::Binding binding;

private:
    struct Free {
        void operator()(ggml_context * context) const { ggml_free(context); }
        void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
    };
    Memory memory_;
    Tensor source_;
    StoredTensor stored_;
    std::unique_ptr<ggml_context, Free> context_;
    std::unique_ptr<ggml_backend_buffer, Free> buffer_;
};

// The product with x, in slices if `node_work` is small.
std::vector<float> product_of(Device & device, Tensor weight, const Matrix & x, const LowRankProducts & products,
                              double node_work) {
    Graph graph(Graph::Limits{node_work});
    Tensor input = ggml_new_tensor_2d(graph.context(), GGML_TYPE_F32, x.columns, x.rows);
    ggml_set_input(input);
    Tensor output = ggml_cont(graph.context(), make_ggml_layers(graph, products)->linear({weight, nullptr}, input, {}));
    ggml_set_output(output);
    graph.expand(output);
    const std::unique_ptr<ggml_gallocr, decltype(&ggml_gallocr_free)> memory(
        ggml_gallocr_new(ggml_backend_get_default_buffer_type(device.backend())), ggml_gallocr_free);
    check(ggml_gallocr_alloc_graph(memory.get(), graph.nodes()), "memory for the graph");
    device.set_threads(1);
    ggml_backend_tensor_set(input, x.values.data(), 0, ggml_nbytes(input));
    check_equal(ggml_backend_graph_compute(device.backend(), graph.nodes()), GGML_STATUS_SUCCESS, "evaluation");
    return numbers_on(output);
}

void test_device_products() {
    constexpr int64_t in = 256, out = 24;
    Device device("cpu", 1, Precision::f32);
    const Matrix x = noise(7, in, 1), a = noise(out, 3, 2), b = noise(3, in, 3), c = noise(out, 5, 4),
                 d = noise(5, in, 5);
    std::vector<std::unique_ptr<RowDelta>> parts;
    parts.push_back(lora_delta({a, b, {}}, 0.3f));
    parts.push_back(lora_delta({c, d, {}}, -0.2f));
    const auto delta = sum_delta(std::move(parts));
    Matrix change{out, in, std::vector<float>(out * in)};
    delta->add(add_product, 0, out, change.values.data(), nullptr);
    for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_K}) {
        const std::string what = ggml_type_name(type);
        const DeviceWeight weight(device.backend(), noise(out, in, 6), type);
        const DeviceWeight difference(device.backend(), change, GGML_TYPE_F32);
        std::vector<float> expected = product_of(device, weight.tensor, x, {}, INFINITY);
        const std::vector<float> plain = expected, added = product_of(device, difference.tensor, x, {}, INFINITY);
        for (size_t i = 0; i < expected.size(); i++) expected[i] += added[i];
        LowRankProducts products;
        {
            ChangedTensors changed(device.backend(), &products);
            changed.change(weight.binding, *delta, ChangedTensors::Way::in_place, {});
            for (const double node_work : {double{INFINITY}, 1e3}) {
                const auto values = product_of(device, weight.tensor, x, products, node_work);
                double error = 0;
                for (size_t i = 0; i < values.size(); i++) error = std::fmax(error, std::fabs(values[i] - expected[i]));
                check(error < 1e-4, what + ": an error of " + std::to_string(error));
            }
            check(weight.tensor->type == type && numbers_on(weight.tensor) == weight.numbers().values,
                  what + ": the weight is unchanged");
            check(changed.bytes() < 9 * (in + out) * 4 + 1024, what + ": only the factors take memory");
        }
        check(products.empty() && product_of(device, weight.tensor, x, products, INFINITY) == plain,
              what + ": without the change all is as before");
    }
}

// Changes that are not of low rank, or of weights that no layer multiplies by.
void test_device_sums() {
    constexpr int64_t in = 256, out = 24;
    Device device("cpu", 1, Precision::f32);
    const auto full = full_delta(noise(out, in, 7), 0.5f), low = lora_delta({noise(out, 2, 8), noise(2, in, 9), {}}, 1);
    for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_F16}) {
        DeviceWeight weight(device.backend(), noise(out, in, 6), type);
        const ggml_tensor before = *weight.tensor;
        for (const RowDelta * delta : {full.get(), low.get()}) {
            LowRankProducts products;
            ChangedTensors changed(device.backend(), &products);
            weight.binding.for_gemm = delta != low.get();
            changed.change(weight.binding, *delta, ChangedTensors::Way::own, {});
            Matrix sum = weight.numbers();
            delta->add(add_product, 0, out, sum.values.data(), nullptr);
            for (float & value : sum.values) value = ggml_fp16_to_fp32(ggml_fp32_to_fp16(value));
            check(weight.tensor->type == GGML_TYPE_F16 && numbers_on(weight.tensor) == sum.values && products.empty(),
                  std::string(ggml_type_name(type)) + ": the sum is in f16");
            check(changed.restore(weight.tensor) && !changed.restore(weight.tensor), "restored once");
            check(weight.tensor->data == before.data && weight.tensor->type == type &&
                      weight.tensor->nb[1] == before.nb[1] && numbers_on(weight.tensor) == weight.numbers().values,
                  std::string(ggml_type_name(type)) + ": the tensor is as before");
            check_equal(changed.bytes(), int64_t{0}, "its memory is free");
        }
    }
}

} // namespace

int main() {
    test_products();
    test_panels();
    test_streamed_panels();
    test_device_products();
    test_device_sums();
    return finish();
}
