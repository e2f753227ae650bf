// LoRAs on weights of every type: added in f32, and rounded once.
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "cpu/packed_weights.h"
#include "lora/adapter.h"

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

} // namespace

int main() {
    test_products();
    test_panels();
    test_streamed_panels();
    return finish();
}
