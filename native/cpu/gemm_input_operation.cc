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
        : kernels_(cpu.kernels), activation_(activation), layout_(layout), batch_(batch) {
        const auto source = [](int64_t place, int64_t places, int64_t side) {
            return static_cast<int32_t>((place + places) % places * side / places);
        };
        const int64_t left = layout.tileable_x ? layout.before : 0, right = layout.tileable_x ? layout.after : 0;
        for (int64_t x = -left; x < layout.width + right; x++) columns_.push_back(source(x, layout.width, width));
        for (int64_t y = -layout.before; y < layout.height + layout.after; y++) {
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
        const int64_t count = columns_.size(), left = layout_.tileable_x ? 0 : layout_.before;
        std::memset(to, 0, left * pixel);
        kernels_.prepare_line(n, channels, image, lines_[line], columns_.data(), count, to + left * pixel, y->ne[0]);
        std::memset(to + (left + count) * pixel, 0, (y->ne[1] - left - count) * pixel);
    }

    const Kernels & kernels_;
    Activation activation_;
    ImageLayout layout_;
    int64_t batch_, parts_;
    std::vector<int32_t> columns_, lines_; // the source column and line of each output column and line; -1 for zeros
};

} // namespace

NewNode gemm_input_node(const CpuContext & cpu, Tensor image, Tensor factors, Activation activation,
                        const ImageLayout & layout) {
    const int64_t around = layout.before + layout.after;
    return {std::make_unique<LayOut>(cpu, activation, layout, image->ne[1], image->ne[2], image->ne[0], image->ne[3]),
            cpu.kernels.operand,
            {GGML_PAD(image->ne[0], cpu.kernels.kr), layout.width + around, layout.height + around, image->ne[3]},
            {image, factors}};
}

} // namespace diffusion
