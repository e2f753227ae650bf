// Convolutions by Winograd's way as operations of a graph.
#include <algorithm>

#include "cpu/operations.h"

namespace diffusion {

namespace {

// The transformed patches of a part stay in the second-level cache.
constexpr int64_t part_bytes = int64_t{768} << 10;

// A part is a group of patches, for all columns.
class WinogradOperation : public Operation {
public:
    WinogradOperation(const CpuPath & cpu, PackedMatrix & matrix, const Product & product,
                      const ProductSources & sources, int64_t batch)
        : kernels_(cpu.kernels), matrix_(matrix), product_(product), sources_(sources) {
        patches_ = product.line_rows / 2 * (product.image_lines / 2) * batch;
        const int64_t patch_bytes = 16 * matrix.padded_in() * kernels_.operand_size;
        const int64_t wanted = 4 * cpu.threads; // parts
        const int64_t most = std::max(part_bytes / patch_bytes, kernels_.tile_rows);
        count_ = std::clamp((patches_ + wanted - 1) / wanted, kernels_.tile_rows, most);
    }

    const char * name() const override { return "convolution, Winograd"; }
    int64_t parts() const override { return (patches_ + count_ - 1) / count_; }
    size_t scratch_bytes() const override {
        return transformed_bytes() + 16 * count_ * kernels_.panel * sizeof(float) + matrix_.scratch_bytes();
    }
    // Of the plain sum of products, so that rates compare.
    double work() const override { return 2.0 * 4 * patches_ * matrix_.in() * 9 * matrix_.columns(); }
    double weight_bytes() const override { return static_cast<double>(matrix_.bytes()); }

    void compute(Tensor y, int64_t part, Worker & worker) override {
        auto * const base = static_cast<char *>(worker.scratch);
        Patches patches;
        patches.transformed = base;
        patches.sums = reinterpret_cast<float *>(base + transformed_bytes());
        patches.channels = matrix_.padded_in();
        patches.first = part * count_;
        patches.count = std::min(count_, patches_ - patches.first);
        transform(y->src[0], patches, base);

        char * const scratch = reinterpret_cast<char *>(patches.sums + 16 * count_ * kernels_.panel);
        const Product p = sources_.filled_in(product_, y);
        for (int64_t i = 0; i < matrix_.panels(); i++) {
            kernels_.winograd_product(p, patches, matrix_.panel(i, scratch), i * kernels_.panel);
        }
    }

private:
    size_t transformed_bytes() const { return GGML_PAD(16 * count_ * matrix_.padded_in() * kernels_.operand_size, 64); }

    void transform(const ggml_tensor * a, const Patches & patches, char * transformed) const {
        const int64_t across = product_.line_rows / 2, down = product_.image_lines / 2;
        for (int64_t i = 0; i < patches.count; i++) {
            const int64_t patch = patches.first + i, line = patch / across, image = line / down;
            const int64_t x = 2 * (patch - line * across), y = 2 * (line - image * down);
            const char * from = static_cast<const char *>(a->data) + image * a->nb[3] + y * a->nb[2] + x * a->nb[1];
            kernels_.winograd_input(from, patches.channels, a->nb[2] / a->nb[0],
                                    transformed + i * patches.channels * kernels_.operand_size,
                                    patches.count * patches.channels);
        }
    }

    const Kernels & kernels_;
    PackedMatrix & matrix_;
    Product product_;
    ProductSources sources_;
    int64_t patches_, count_; // of all images, and of a part
};

} // namespace

Tensor add_winograd(Graph & graph, PackedMatrix & matrix, Tensor a, Tensor bias, const Finish & finish) {
    const CpuPath & cpu = *graph.cpu();
    const std::array<int64_t, 4> ne = {matrix.columns(), a->ne[1] - 2, a->ne[2] - 2, a->ne[3]};
    Product p = finished_product(cpu, matrix, finish);
    p.line_rows = ne[1];
    p.image_lines = ne[2];
    const ProductSources sources(bias, finish);
    return graph.add(std::make_unique<WinogradOperation>(cpu, matrix, p, sources, ne[3]),
                     p.y_is_operand ? cpu.kernels.operand : GGML_TYPE_F32, ne,
                     {a, bias, finish.image_bias, finish.residual, finish.slopes});
}

} // namespace diffusion
