// Prepares an image as the first factor of a product: normalizes, activates, resizes and pads it, and converts it to
// operands.
#include <algorithm>
#include <cstring>

#include "cpu/operations.h"

namespace diffusion {

namespace {

class LayOut : public Operation {
public:
    LayOut(const CpuContext & cpu, Activation activation, const ImageLayout & layout, int64_t width, int64_t height,
           int64_t channels, int64_t batch)
        : kernels_(cpu.kernels), activation_(activation), batch_(batch) {
        const auto source = [](int64_t place, int64_t places, int64_t side) {
            return static_cast<int32_t>((place + places) % places * side / places);
        };
        const auto circular = [&](int64_t margin) { return layout.tileable_x ? margin : std::min<int64_t>(margin, 0); };
        zeros_ = layout.left - circular(layout.left);
        for (int64_t x = -circular(layout.left); x < layout.width + circular(layout.right); x++) {
            columns_.push_back(source(x, layout.width, width));
        }
        for (int64_t y = -layout.top; y < layout.height + layout.bottom; y++) {
            const bool inside = y >= 0 && y < layout.height;
            lines_.push_back(inside || layout.tileable_y ? source(y, layout.height, height) : -1);
        }
        parts_ = std::min(parts_for(layout.width * layout.height * channels), layout.height);
    }
    const char * name() const override { return activation_ == Activation::silu ? "group norm, SiLU" : "layout"; }
    int64_t parts() const override { return parts_ * batch_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        const int64_t image = part / parts_, i = part % parts_, lines = y->ne[2];
        for (int64_t line = lines * i / parts_; line < lines * (i + 1) / parts_; line++) {
            write_line(y, image, line);
        }
    }

private:
    void write_line(Tensor y, int64_t image, int64_t line) const {
        const Tensor x = y->src[0], factors = y->src[1];
        const size_t pixel = y->ne[0] * kernels_.operand_size;
        char * const to = static_cast<char *>(y->data) + (image * y->ne[2] + line) * y->ne[1] * pixel;
        if (lines_[line] < 0) {
            std::memset(to, 0, y->ne[1] * pixel);
            return;
        }
        Normalization n;
        n.x = static_cast<const float *>(x->data);
        n.channels = x->ne[0];
        n.width = x->ne[1];
        n.height = x->ne[2];
        n.activation = activation_;
        const float * channels = factors ? static_cast<const float *>(factors->data) + image * 2 * n.channels : nullptr;
        const int64_t count = columns_.size();
        std::memset(to, 0, zeros_ * pixel);
        kernels_.prepare_line(n, channels, image, lines_[line], columns_.data(), count, to + zeros_ * pixel, y->ne[0]);
        std::memset(to + (zeros_ + count) * pixel, 0, (y->ne[1] - zeros_ - count) * pixel);
    }

    const Kernels & kernels_;
    Activation activation_;
    int64_t batch_, parts_;
    int64_t zeros_;                        // on the left
    std::vector<int32_t> columns_, lines_; // the source column and line of each output column and line; -1 for zeros
};

} // namespace

NewNode gemm_input_node(const CpuContext & cpu, Tensor image, Tensor factors, Activation activation,
                        const ImageLayout & layout) {
    return {std::make_unique<LayOut>(cpu, activation, layout, image->ne[1], image->ne[2], image->ne[0], image->ne[3]),
            cpu.kernels.operand,
            {GGML_PAD(image->ne[0], cpu.kernels.kr), layout.width + layout.left + layout.right,
             layout.height + layout.top + layout.bottom, image->ne[3]},
            {image, factors}};
}

} // namespace diffusion
