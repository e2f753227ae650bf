// Operations on images in f32: concatenation, pooling and resizing.
#include <algorithm>
#include <cstring>

#include "cpu/operations.h"

namespace diffusion {

namespace {

const float * numbers(Tensor x) {
    return static_cast<const float *>(x->data);
}

class Concat : public Operation {
public:
    explicit Concat(int64_t pixels, int64_t numbers) : pixels_(pixels), parts_(std::min(parts_for(numbers), pixels)) {}
    const char * name() const override { return "concatenation"; }
    int64_t parts() const override { return parts_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
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

// An operation that computes each line of its output from one image; a part is a range of lines.
class LineOperation : public Operation {
public:
    LineOperation(int64_t width, int64_t height, int64_t channels, int64_t batch)
        : lines_(height * batch), parts_(std::min(parts_for(4 * width * height * batch * channels), lines_)) {}
    int64_t parts() const override { return parts_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        const Tensor x = y->src[0];
        for (int64_t line = lines_ * part / parts_; line < lines_ * (part + 1) / parts_; line++) {
            const int64_t image = line / y->ne[2];
            write_line(x, numbers(x) + image * x->ne[0] * x->ne[1] * x->ne[2], line % y->ne[2],
                       static_cast<float *>(y->data) + line * y->ne[0] * y->ne[1]);
        }
    }

protected:
    // Writes line `line` to `to`; `from` is the corresponding image of x.
    virtual void write_line(Tensor x, const float * from, int64_t line, float * to) const = 0;

private:
    int64_t lines_, parts_;
};

class MaxPool : public LineOperation {
public:
    using LineOperation::LineOperation;
    const char * name() const override { return "pooling"; }

protected:
    void write_line(Tensor x, const float * from, int64_t line, float * to) const override {
        const int64_t channels = x->ne[0], width = x->ne[1], height = x->ne[2];
        for (int64_t column = 0; column < width / 2; column++, to += channels) {
            std::fill(to, to + channels, 0.0f);
            for (int64_t v = 2 * line; v < std::min(2 * line + 3, height); v++) {
                for (int64_t u = 2 * column; u < std::min(2 * column + 3, width); u++) {
                    const float * pixel = from + (v * width + u) * channels;
                    // This order keeps NaN.
                    for (int64_t c = 0; c < channels; c++) to[c] = pixel[c] <= to[c] ? to[c] : pixel[c];
                }
            }
        }
    }
};

// The two source pixels that a pixel is interpolated from along a side, and the weight of the second.
struct Neighbours {
    int64_t first, second;
    float share;
};

std::vector<Neighbours> neighbours(int64_t from, int64_t to, bool align_corners) {
    std::vector<Neighbours> all;
    for (int64_t i = 0; i < to; i++) {
        const double at =
            align_corners ? (to > 1 ? static_cast<double>(i) * (from - 1) / (to - 1) : 0) : (i + 0.5) * from / to - 0.5;
        const double inside = std::clamp<double>(at, 0, from - 1);
        const auto first = static_cast<int64_t>(inside);
        all.push_back({first, std::min(first + 1, from - 1), static_cast<float>(inside - first)});
    }
    return all;
}

class Bilinear : public LineOperation {
public:
    Bilinear(Tensor image, int64_t width, int64_t height, bool align_corners)
        : LineOperation(width, height, image->ne[0], image->ne[3]),
          columns_(neighbours(image->ne[1], width, align_corners)),
          lines_(neighbours(image->ne[2], height, align_corners)) {}
    const char * name() const override { return "resizing"; }

protected:
    void write_line(Tensor x, const float * from, int64_t line, float * to) const override {
        const int64_t channels = x->ne[0], width = x->ne[1];
        const Neighbours & down = lines_[line];
        const float * above = from + down.first * width * channels;
        const float * below = from + down.second * width * channels;
        for (const Neighbours & across : columns_) {
            const float *a = above + across.first * channels, *b = above + across.second * channels;
            const float *c = below + across.first * channels, *d = below + across.second * channels;
            for (int64_t i = 0; i < channels; i++) {
                const float upper = a[i] + across.share * (b[i] - a[i]);
                const float lower = c[i] + across.share * (d[i] - c[i]);
                to[i] = upper + down.share * (lower - upper);
            }
            to += channels;
        }
    }

private:
    std::vector<Neighbours> columns_, lines_;
};

} // namespace

NewNode concat_node(Tensor image, Tensor other) {
    const int64_t channels = image->ne[0] + other->ne[0], pixels = image->ne[1] * image->ne[2] * image->ne[3];
    return {std::make_unique<Concat>(pixels, pixels * channels),
            GGML_TYPE_F32,
            {channels, image->ne[1], image->ne[2], image->ne[3]},
            {image, other}};
}

NewNode max_pool_node(Tensor image) {
    const int64_t width = image->ne[1] / 2, height = image->ne[2] / 2;
    return {std::make_unique<MaxPool>(width, height, image->ne[0], image->ne[3]),
            GGML_TYPE_F32,
            {image->ne[0], width, height, image->ne[3]},
            {image}};
}

NewNode bilinear_node(Tensor image, int64_t width, int64_t height, bool align_corners) {
    return {std::make_unique<Bilinear>(image, width, height, align_corners),
            GGML_TYPE_F32,
            {image->ne[0], width, height, image->ne[3]},
            {image}};
}

} // namespace diffusion
