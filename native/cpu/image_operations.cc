// What images go through on their way into products, as operations of a graph.
#include <algorithm>
#include <cstring>

#include "cpu/operations.h"

namespace diffusion {

namespace {

// [channels, width, height, batch] -> [channels, 2, parts, batch]
class GroupSums : public Operation {
public:
    GroupSums(const CpuPath & cpu, int64_t parts, int64_t batch)
        : kernels_(cpu.kernels), parts_(parts), batch_(batch) {}
    const char * name() const override { return "group norm, sums"; }
    int64_t parts() const override { return parts_ * batch_; }

    void compute(Tensor y, int64_t part, Worker &) override {
        const Tensor x = y->src[0];
        const int64_t image = part / parts_, i = part % parts_, pixels = x->ne[1] * x->ne[2];
        kernels_.group_sums(static_cast<const float *>(x->data) + image * pixels * x->ne[0], x->ne[0],
                            pixels * i / parts_, pixels * (i + 1) / parts_,
                            static_cast<float *>(y->data) + part * 2 * x->ne[0]);
    }

private:
    const Kernels & kernels_;
    int64_t parts_, batch_;
};

// Sums and the image that they are of -> [channels, 2, 1, batch]
class GroupFactors : public Operation {
public:
    GroupFactors(const CpuPath & cpu, float eps, int64_t batch) : kernels_(cpu.kernels), eps_(eps), batch_(batch) {}
    const char * name() const override { return "group norm, factors"; }
    int64_t parts() const override { return batch_; }

    void compute(Tensor y, int64_t part, Worker &) override {
        const Tensor sums = y->src[0], x = y->src[1];
        Normalization n;
        n.x = static_cast<const float *>(x->data);
        n.channels = x->ne[0];
        n.width = x->ne[1];
        n.height = x->ne[2];
        n.sums = static_cast<const float *>(sums->data);
        n.parts = sums->ne[2];
        n.weight = static_cast<const float *>(y->src[2]->data);
        n.bias = static_cast<const float *>(y->src[3]->data);
        n.groups = group_count;
        n.eps = eps_;
        kernels_.group_factors(n, part, static_cast<float *>(y->data) + part * 2 * n.channels);
    }

private:
    const Kernels & kernels_;
    float eps_;
    int64_t batch_;
};

class Prepare : public Operation {
public:
    Prepare(const CpuPath & cpu, Activation activation, const Placement & placement, int64_t width, int64_t height,
            int64_t channels, int64_t batch)
        : kernels_(cpu.kernels), activation_(activation), placement_(placement), batch_(batch) {
        const auto source = [](int64_t place, int64_t places, int64_t side) {
            return static_cast<int32_t>((place + places) % places * side / places);
        };
        const int64_t left = placement.wrap.x ? placement.before : 0, right = placement.wrap.x ? placement.after : 0;
        for (int64_t x = -left; x < placement.width + right; x++) columns_.push_back(source(x, placement.width, width));
        for (int64_t y = -placement.before; y < placement.height + placement.after; y++) {
            const bool inside = y >= 0 && y < placement.height;
            lines_.push_back(inside || placement.wrap.y ? source(y, placement.height, height) : -1);
        }
        parts_ = std::min(parts_for(placement.width * placement.height * channels), placement.height);
    }
    const char * name() const override { return activation_ == Activation::silu ? "group norm, SiLU" : "layout"; }
    int64_t parts() const override { return parts_ * batch_; }

    void compute(Tensor y, int64_t part, Worker &) override {
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
        const int64_t count = columns_.size(), left = placement_.wrap.x ? 0 : placement_.before;
        std::memset(to, 0, left * pixel);
        kernels_.prepare_line(n, channels, image, lines_[line], columns_.data(), count, to + left * pixel, y->ne[0]);
        std::memset(to + (left + count) * pixel, 0, (y->ne[1] - left - count) * pixel);
    }

    const Kernels & kernels_;
    Activation activation_;
    Placement placement_;
    int64_t batch_, parts_;
    std::vector<int32_t> columns_, lines_; // of the image, for each of its place's; -1 for zeros
};

class Concat : public Operation {
public:
    explicit Concat(int64_t pixels, int64_t numbers) : pixels_(pixels), parts_(std::min(parts_for(numbers), pixels)) {}
    const char * name() const override { return "concatenation"; }
    int64_t parts() const override { return parts_; }

    void compute(Tensor y, int64_t part, Worker &) override {
        const size_t a = y->src[0]->nb[1], b = y->src[1]->nb[1];
        for (int64_t i = pixels_ * part / parts_; i < pixels_ * (part + 1) / parts_; i++) {
            char * to = static_cast<char *>(y->data) + i * (a + b);
            std::memcpy(to, static_cast<const char *>(y->src[0]->data) + i * a, a);
            std::memcpy(to + a, static_cast<const char *>(y->src[1]->data) + i * b, b);
        }
    }

private:
    int64_t pixels_, parts_;
};

} // namespace

Tensor add_group_factors(Graph & graph, const Norm & norm, float eps, Tensor image) {
    const int64_t channels = image->ne[0], pixels = image->ne[1] * image->ne[2], batch = image->ne[3];
    constexpr int64_t most_parts = 64;
    const int64_t parts = std::min({parts_for(pixels * channels), most_parts, pixels});
    Tensor sums = graph.add(std::make_unique<GroupSums>(*graph.cpu(), parts, batch), GGML_TYPE_F32,
                            {channels, 2, parts, batch}, {image});
    return graph.add(std::make_unique<GroupFactors>(*graph.cpu(), eps, batch), GGML_TYPE_F32, {channels, 2, 1, batch},
                     {sums, image, norm.weight, norm.bias});
}

Tensor add_prepared(Graph & graph, Tensor image, Tensor factors, Activation activation, const Placement & place) {
    const CpuPath & cpu = *graph.cpu();
    const int64_t around = place.before + place.after;
    return graph.add(
        std::make_unique<Prepare>(cpu, activation, place, image->ne[1], image->ne[2], image->ne[0], image->ne[3]),
        cpu.kernels.operand,
        {GGML_PAD(image->ne[0], cpu.kernels.depth), place.width + around, place.height + around, image->ne[3]},
        {image, factors});
}

Tensor add_concat(Graph & graph, Tensor image, Tensor other) {
    const int64_t channels = image->ne[0] + other->ne[0], pixels = image->ne[1] * image->ne[2] * image->ne[3];
    return graph.add(std::make_unique<Concat>(pixels, pixels * channels), GGML_TYPE_F32,
                     {channels, image->ne[1], image->ne[2], image->ne[3]}, {image, other});
}

} // namespace diffusion
