// Matrix products and convolutions as operations of a graph.
#include <algorithm>

#include "cpu/operations.h"

namespace diffusion {

namespace {

// Rows of a part: its rows and its panel stay in the second-level cache, and it is done in a few milliseconds.
constexpr int64_t most_rows = 256;
// Parts for each thread, where there are rows enough: with more, threads finish together.
constexpr int64_t wanted_parts = 8;

class ProductOperation : public Operation {
public:
    ProductOperation(const CpuPath & cpu, PackedMatrix & matrix, const Product & product, std::vector<Segment> segments,
                     int64_t rows, const ProductSources & sources)
        : kernels_(cpu.kernels), matrix_(matrix), product_(product), segments_(std::move(segments)), rows_(rows),
          sources_(sources) {
        const int64_t enough = wanted_parts * cpu.threads, panels = matrix.panels();
        if (matrix.kept()) {
            int64_t chunk = most_rows;
            while (chunk > 4 * kernels_.tile_rows && panels * ((rows + chunk - 1) / chunk) < enough) chunk /= 2;
            chunks_ = (rows + chunk - 1) / chunk;
        } else {
            // A panel that is packed for one part only is to serve as many rows as can be.
            chunks_ = panels >= 2 * cpu.threads ? 1 : std::min<int64_t>(cpu.threads, rows);
        }
        product_.segments = segments_.data();
        product_.n_segments = static_cast<int>(segments_.size());
        const size_t a_bytes = rows * matrix.padded_in() * kernels_.operand_size;
        panels_follow_ = matrix.kept() && matrix.bytes() <= a_bytes;
    }

    const char * name() const override { return matrix_.taps() > 1 ? "convolution" : "linear"; }
    int64_t parts() const override { return matrix_.panels() * chunks_; }
    size_t scratch_bytes() const override { return matrix_.scratch_bytes(); }
    double work() const override { return 2.0 * rows_ * matrix_.in() * matrix_.taps() * matrix_.columns(); }

    double weight_bytes() const override { return static_cast<double>(matrix_.bytes()); }

    void compute(Tensor y, int64_t part, Worker & worker) override {
        // The smaller of both factors is read again and again, and the other one once.
        const int64_t panels = matrix_.panels();
        const int64_t panel = panels_follow_ ? part % panels : part / chunks_;
        const int64_t chunk = panels_follow_ ? part / panels : part % chunks_;
        const Product p = sources_.filled_in(product_, y);
        kernels_.product(p, matrix_.panel(panel, worker.scratch), panel * kernels_.panel, rows_ * chunk / chunks_,
                         rows_ * (chunk + 1) / chunks_);
    }

private:
    const Kernels & kernels_;
    PackedMatrix & matrix_;
    Product product_;
    std::vector<Segment> segments_;
    int64_t rows_, chunks_;
    bool panels_follow_; // consecutive parts are of one chunk of rows, not of one panel
    ProductSources sources_;
};

} // namespace

Product ProductSources::filled_in(Product p, Tensor y) const {
    const auto source = [&](int i) { return i == 0 ? nullptr : static_cast<const float *>(y->src[i]->data); };
    p.a = y->src[0]->data;
    p.bias = source(bias_);
    p.image_bias = source(image_bias_);
    p.residual = source(residual_);
    p.slopes = source(slopes_);
    p.y = y->data;
    return p;
}

Product finished_product(const CpuPath & cpu, const PackedMatrix & matrix, const Finish & finish) {
    Product p;
    p.columns = matrix.columns();
    p.activation = finish.activation;
    p.activate_last = finish.activate_last;
    p.scale = finish.scale;
    p.y_is_operand = finish.for_products && cpu.kernels.operand != GGML_TYPE_F32;
    return p;
}

Tensor add_product(Graph & graph, PackedMatrix & matrix, Tensor a, const RowLayout & layout,
                   const std::array<int64_t, 4> & ne, Tensor bias, const Finish & finish) {
    const CpuPath & cpu = *graph.cpu();
    Product p = finished_product(cpu, matrix, finish);
    p.row_stride = layout.row_stride;
    p.line_stride = layout.line_stride;
    p.image_stride = layout.image_stride;
    p.line_rows = layout.line_rows;
    p.image_lines = layout.image_lines;
    const int64_t rows = ne[1] * ne[2] * ne[3];
    const ProductSources sources(bias, finish);
    return graph.add(std::make_unique<ProductOperation>(cpu, matrix, p, layout.segments, rows, sources),
                     p.y_is_operand ? cpu.kernels.operand : GGML_TYPE_F32, ne,
                     {a, bias, finish.image_bias, finish.residual, finish.slopes});
}

} // namespace diffusion
