// Winograd convolutions as operations of a graph.
#include <algorithm>

#include "cpu/operations.h"

namespace diffusion {

namespace {

// Size of a part's transformed patches, which fit the L2 cache.
constexpr int64_t part_bytes = int64_t{768} << 10;

// A part is a group of patches, for all columns.
class WinogradOperation : public Operation {
public:
    WinogradOperation(const CpuContext & cpu, PackedMatrix & matrix, const Gemm & gemm, const GemmSources & sources,
                      int64_t batch)
        : kernels_(cpu.kernels), matrix_(matrix), gemm_(gemm), sources_(sources) {
        patches_ = gemm.line_rows / 2 * (gemm.image_lines / 2) * batch;
        const int64_t patch_bytes = 16 * matrix.padded_in() * kernels_.operand_size;
        const int64_t wanted = 4 * cpu.threads; // parts
        const int64_t most = std::max(part_bytes / patch_bytes, kernels_.mr);
        count_ = std::clamp((patches_ + wanted - 1) / wanted, kernels_.mr, most);
    }

    const char * name() const override { return "convolution, Winograd"; }
    int64_t parts() const override { return (patches_ + count_ - 1) / count_; }
    size_t scratch_bytes() const override {
        return transformed_bytes() + 16 * count_ * kernels_.nr * sizeof(float) + matrix_.scratch_bytes();
    }
    // Operations of a direct convolution, so that rates are comparable.
    double work() const override { return 2.0 * 4 * patches_ * matrix_.in() * 9 * matrix_.columns(); }
    double weight_bytes() const override { return static_cast<double>(matrix_.bytes()); }

    void compute(Tensor y, int64_t part, ThreadScratch & scratch) override {
        auto * const base = static_cast<char *>(scratch.memory);
        Patches patches;
        patches.transformed = base;
        patches.sums = reinterpret_cast<float *>(base + transformed_bytes());
        patches.channels = matrix_.padded_in();
        patches.first = part * count_;
        patches.count = std::min(count_, patches_ - patches.first);
        transform(y->src[0], patches, base);

        char * const packing = reinterpret_cast<char *>(patches.sums + 16 * count_ * kernels_.nr);
        const Gemm g = sources_.with_pointers(gemm_, y);
        for (int64_t i = 0; i < matrix_.panels(); i++) {
            kernels_.winograd_gemm(g, patches, matrix_.panel(i, packing), i * kernels_.nr);
        }
    }

    void finish() override { matrix_.finish(); }

private:
    size_t transformed_bytes() const { return GGML_PAD(16 * count_ * matrix_.padded_in() * kernels_.operand_size, 64); }

    void transform(const ggml_tensor * a, const Patches & patches, char * transformed) const {
        const int64_t across = gemm_.line_rows / 2, down = gemm_.image_lines / 2;
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
    Gemm gemm_;
    GemmSources sources_;
    int64_t patches_, count_; // in all images, and in a part
};

} // namespace

NewNode winograd_node(const CpuContext & cpu, PackedMatrix & matrix, Tensor a, Tensor bias, const Epilogue & epilogue) {
    const std::array<int64_t, 4> ne = {matrix.columns(), a->ne[1] - 2, a->ne[2] - 2, a->ne[3]};
    Gemm g = gemm_with(cpu, matrix, epilogue);
    g.line_rows = ne[1];
    g.image_lines = ne[2];
    return gemm_node(cpu, std::make_unique<WinogradOperation>(cpu, matrix, g, GemmSources(bias, epilogue), ne[3]), ne,
                     a, bias, epilogue);
}

} // namespace diffusion
