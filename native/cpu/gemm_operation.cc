// Matrix products and convolutions as operations of a graph.
#include <algorithm>

#include "cpu/operations.h"

namespace diffusion {

namespace {

// The most rows of a part: they and its panel fit the L2 cache, and a part takes a few milliseconds.
constexpr int64_t mc = 256;
// Parts per thread, if there are enough rows, so that all threads finish at about the same time.
constexpr int64_t wanted_parts = 8;

class GemmOperation : public Operation {
public:
    GemmOperation(const CpuContext & cpu, PackedMatrix & matrix, const Gemm & gemm, std::vector<Segment> segments,
                  int64_t rows, const GemmSources & sources)
        : kernels_(cpu.kernels), matrix_(matrix), gemm_(gemm), segments_(std::move(segments)), rows_(rows),
          sources_(sources) {
        const int64_t enough = wanted_parts * cpu.threads, panels = matrix.panels();
        if (matrix.is_shared()) {
            int64_t chunk = mc;
            while (chunk > 4 * kernels_.mr && panels * ((rows + chunk - 1) / chunk) < enough) chunk /= 2;
            chunks_ = (rows + chunk - 1) / chunk;
        } else {
            // A panel is packed for each part, so parts have as many rows as possible.
            chunks_ = panels >= 2 * cpu.threads ? 1 : std::min<int64_t>(cpu.threads, rows);
        }
        gemm_.segments = segments_.data();
        gemm_.n_segments = static_cast<int>(segments_.size());
        const size_t a_bytes = rows * matrix.padded_in() * kernels_.operand_size;
        panels_follow_ = matrix.is_shared() && matrix.bytes() <= a_bytes;
    }

    const char * name() const override { return matrix_.taps() > 1 ? "convolution" : "linear"; }
    int64_t parts() const override { return matrix_.panels() * chunks_; }
    size_t scratch_bytes() const override { return matrix_.scratch_bytes(); }
    double work() const override { return 2.0 * rows_ * matrix_.in() * matrix_.taps() * matrix_.columns(); }

    double weight_bytes() const override { return static_cast<double>(matrix_.bytes()); }

    void compute(Tensor y, int64_t part, ThreadScratch & scratch) override {
        // The smaller factor is read repeatedly, the other one once.
        const int64_t panels = matrix_.panels();
        const int64_t panel = panels_follow_ ? part % panels : part / chunks_;
        const int64_t chunk = panels_follow_ ? part / panels : part % chunks_;
        const Gemm g = sources_.with_pointers(gemm_, y);
        kernels_.gemm(g, matrix_.panel(panel, scratch.memory), panel * kernels_.nr, rows_ * chunk / chunks_,
                      rows_ * (chunk + 1) / chunks_);
    }

    void finish() override { matrix_.finish(); }

private:
    const Kernels & kernels_;
    PackedMatrix & matrix_;
    Gemm gemm_;
    std::vector<Segment> segments_;
    int64_t rows_, chunks_;
    bool panels_follow_; // consecutive parts share a chunk of rows rather than a panel
    GemmSources sources_;
};

} // namespace

Gemm GemmSources::with_pointers(Gemm g, Tensor y) const {
    const auto source = [&](int i) { return i == 0 ? nullptr : static_cast<const float *>(y->src[i]->data); };
    g.a = y->src[0]->data;
    g.bias = source(bias_);
    g.image_bias = source(image_bias_);
    g.residual = source(residual_);
    g.slopes = source(slopes_);
    g.factor = source(factor_);
    g.y = y->data;
    return g;
}

Gemm gemm_with(const CpuContext & cpu, const PackedMatrix & matrix, const Epilogue & epilogue) {
    Gemm g;
    g.columns = matrix.columns();
    g.activation = epilogue.activation;
    g.activate_last = epilogue.activate_last;
    g.scale = epilogue.scale;
    g.y_is_operand = epilogue.for_gemm && cpu.kernels.operand != GGML_TYPE_F32;
    return g;
}

NewNode gemm_node(const CpuContext & cpu, std::unique_ptr<Operation> operation, const std::array<int64_t, 4> & ne,
                  Tensor a, Tensor bias, const Epilogue & epilogue) {
    return {std::move(operation),
            epilogue.for_gemm ? cpu.kernels.operand : GGML_TYPE_F32,
            ne,
            {a, bias, epilogue.image_bias, epilogue.residual, epilogue.slopes, epilogue.factor}};
}

NewNode gemm_node(const CpuContext & cpu, PackedMatrix & matrix, Tensor a, const RowLayout & layout,
                  const std::array<int64_t, 4> & ne, Tensor bias, const Epilogue & epilogue) {
    Gemm g = gemm_with(cpu, matrix, epilogue);
    g.row_stride = layout.row_stride;
    g.line_stride = layout.line_stride;
    g.image_stride = layout.image_stride;
    g.line_rows = layout.line_rows;
    g.image_lines = layout.image_lines;
    const int64_t rows = ne[1] * ne[2] * ne[3];
    return gemm_node(
        cpu, std::make_unique<GemmOperation>(cpu, matrix, g, layout.segments, rows, GemmSources(bias, epilogue)), ne, a,
        bias, epilogue);
}

} // namespace diffusion
