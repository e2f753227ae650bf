// Images that are written and read in parts, so that a network need not be evaluated for a whole image at once.
#include <algorithm>
#include <cstring>

#include "cpu/operations.h"

namespace diffusion {

namespace {

const float * numbers(Tensor x) {
    return static_cast<const float *>(x->data);
}

int64_t blocks(int64_t side) {
    return (side + block_side - 1) / block_side;
}

// A part is a range of the part's lines, or of its lines of blocks.
class StorePart : public Operation {
public:
    StorePart(const CpuContext & cpu, const ImageStore & store, Tensor part, int64_t x, int64_t y)
        : kernels_(cpu.kernels), store_(store), x_(x), y_(y), lines_(store.compact ? blocks(part->ne[2]) : part->ne[2]),
          parts_(std::min(parts_for(ggml_nelements(part)), lines_)) {}
    const char * name() const override { return "storing"; }
    int64_t parts() const override { return parts_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        for (int64_t line = lines_ * part / parts_; line < lines_ * (part + 1) / parts_; line++) {
            store_.compact ? write_blocks(y, line) : write_line(y, line);
        }
    }

private:
    void write_line(Tensor y, int64_t line) const {
        const Tensor part = y->src[1];
        std::memcpy(static_cast<char *>(y->data) + ((y_ + line) * store_.width + x_) * part->nb[1],
                    static_cast<const char *>(part->data) + line * part->nb[2], part->ne[1] * part->nb[1]);
    }

    void write_blocks(Tensor y, int64_t line) const {
        const Tensor part = y->src[1];
        const int64_t width = part->ne[1], height = part->ne[2], top = line * block_side;
        const int64_t bytes = block_bytes(store_.channels), across = blocks(store_.width);
        char * to = static_cast<char *>(y->data) + ((y_ / block_side + line) * across + x_ / block_side) * bytes;
        for (int64_t left = 0; left < width; left += block_side, to += bytes) {
            kernels_.store_block(numbers(part) + (top * width + left) * store_.channels, store_.channels,
                                 width * store_.channels, std::min(block_side, width - left),
                                 std::min(block_side, height - top), to);
        }
    }

    const Kernels & kernels_;
    ImageStore store_;
    int64_t x_, y_, lines_, parts_;
};

// A part is a range of lines.
class LoadPart : public Operation {
public:
    LoadPart(const CpuContext & cpu, const ImageStore & store, int64_t x, int64_t y, int64_t width, int64_t height)
        : kernels_(cpu.kernels), store_(store), x_(x), y_(y), width_(width), height_(height),
          parts_(std::min(parts_for(width * height * store.channels), height)) {}
    const char * name() const override { return "loading"; }
    int64_t parts() const override { return parts_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        for (int64_t line = height_ * part / parts_; line < height_ * (part + 1) / parts_; line++) {
            const int64_t from = wrapped(y_ + line, store_.height);
            float * to = static_cast<float *>(y->data) + line * width_ * store_.channels;
            for (int64_t done = 0; done < width_;) {
                const int64_t x = wrapped(x_ + done, store_.width);
                const int64_t count = read(y->src[0], x, from, std::min(width_ - done, store_.width - x), to);
                to += count * store_.channels;
                done += count;
            }
        }
    }

private:
    static int64_t wrapped(int64_t place, int64_t side) { return (place % side + side) % side; }

    // At most `count` pixels; returns how many.
    int64_t read(Tensor stored, int64_t x, int64_t y, int64_t count, float * to) const {
        if (!store_.compact) {
            std::copy_n(numbers(stored) + (y * store_.width + x) * store_.channels, count * store_.channels, to);
            return count;
        }
        const int64_t in_block = x % block_side, there = std::min(count, block_side - in_block);
        const int64_t block = y / block_side * blocks(store_.width) + x / block_side;
        kernels_.load_block(static_cast<const char *>(stored->data) + block * block_bytes(store_.channels),
                            store_.channels, in_block, y % block_side, there, to);
        return there;
    }

    const Kernels & kernels_;
    ImageStore store_;
    int64_t x_, y_, width_, height_, parts_;
};

class StorePlanes : public Operation {
public:
    StorePlanes(Tensor image, int64_t x, int64_t y, int64_t index)
        : x_(x), y_(y), index_(index), parts_(std::min(parts_for(ggml_nelements(image)), image->ne[2])) {}
    const char * name() const override { return "storing"; }
    int64_t parts() const override { return parts_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        const Tensor image = y->src[1];
        const int64_t channels = image->ne[0], width = image->ne[1], height = image->ne[2];
        for (int64_t line = height * part / parts_; line < height * (part + 1) / parts_; line++) {
            for (int64_t c = 0; c < channels; c++) {
                const float * from = numbers(image) + line * width * channels + c;
                float * to =
                    static_cast<float *>(y->data) + ((index_ * channels + c) * y->ne[1] + y_ + line) * y->ne[0] + x_;
                for (int64_t i = 0; i < width; i++) to[i] = from[i * channels];
            }
        }
    }

private:
    int64_t x_, y_, index_, parts_;
};

} // namespace

size_t ImageStore::bytes() const {
    if (!compact) return width * height * channels * sizeof(float);
    return blocks(width) * blocks(height) * block_bytes(channels);
}

NewNode store_part_node(const CpuContext & cpu, const ImageStore & store, Tensor part, int64_t x, int64_t y) {
    return {std::make_unique<StorePart>(cpu, store, part, x, y), GGML_TYPE_F32, {}, {part}};
}

NewNode load_part_node(const CpuContext & cpu, const ImageStore & store, Tensor stored, int64_t x, int64_t y,
                       int64_t width, int64_t height) {
    return {std::make_unique<LoadPart>(cpu, store, x, y, width, height),
            GGML_TYPE_F32,
            {store.channels, width, height, 1},
            {stored}};
}

NewNode store_planes_node(Tensor image, int64_t x, int64_t y, int64_t index) {
    return {std::make_unique<StorePlanes>(image, x, y, index), GGML_TYPE_F32, {}, {image}};
}

} // namespace diffusion
