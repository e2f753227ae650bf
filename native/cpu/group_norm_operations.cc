// Group norm: its sums, its factors, and the normalization itself if the result is not the input of a product.
#include <algorithm>
#include <cmath>

#include "cpu/operations.h"

namespace diffusion {

namespace {

const float * numbers(Tensor x) {
    return static_cast<const float *>(x->data);
}

// [channels, width, height, batch] -> [channels, 2, parts, batch]
class GroupSums : public Operation {
public:
    GroupSums(const CpuContext & cpu, int64_t parts, int64_t batch)
        : kernels_(cpu.kernels), parts_(parts), batch_(batch) {}
    const char * name() const override { return "group norm, sums"; }
    int64_t parts() const override { return parts_ * batch_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
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

// The sums of an image, and the image -> [channels, 2, 1, batch]
class GroupFactors : public Operation {
public:
    GroupFactors(const CpuContext & cpu, int groups, float eps, int64_t batch)
        : kernels_(cpu.kernels), groups_(groups), eps_(eps), batch_(batch) {}
    const char * name() const override { return "group norm, factors"; }
    int64_t parts() const override { return batch_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
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
        n.groups = groups_;
        n.eps = eps_;
        kernels_.group_factors(n, part, static_cast<float *>(y->data) + part * 2 * n.channels);
    }

private:
    const Kernels & kernels_;
    int groups_;
    float eps_;
    int64_t batch_;
};

class Statistics : public Operation {
public:
    Statistics(double before, double share) : before_(before), share_(share) {}
    const char * name() const override { return "group norm, statistics"; }
    int64_t parts() const override { return 1; }

    // Merged as by Chan et al. 1979, about the mean of both.
    void compute(Tensor y, int64_t, ThreadScratch &) override {
        const Tensor part = y->src[0], sums = y->src[1];
        const int64_t channels = y->ne[0], pixels = part->ne[1] * part->ne[2];
        const float * so_far = before_ > 0 ? numbers(y->src[2]) : nullptr;
        auto * const to = static_cast<float *>(y->data);
        for (int64_t c = 0; c < channels; c++) {
            double s = 0, squares = 0;
            for (int64_t i = 0; i < sums->ne[2]; i++) {
                s += numbers(sums)[2 * i * channels + c];
                squares += numbers(sums)[(2 * i + 1) * channels + c];
            }
            double mean = numbers(part)[c] + s / pixels; // the sums are relative to the part's first pixel
            double variance = squares / pixels - s / pixels * (s / pixels);
            if (so_far) {
                const double share = share_ / (before_ + share_), distance = mean - so_far[c];
                mean = so_far[c] + share * distance;
                variance =
                    (1 - share) * so_far[channels + c] + share * variance + share * (1 - share) * distance * distance;
            }
            to[c] = static_cast<float>(mean);
            to[channels + c] = static_cast<float>(variance);
        }
    }

private:
    double before_, share_;
};

// Statistics -> [channels, 2]
class KnownFactors : public Operation {
public:
    KnownFactors(int groups, float eps) : groups_(groups), eps_(eps) {}
    const char * name() const override { return "group norm, factors"; }
    int64_t parts() const override { return groups_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        const int64_t channels = y->ne[0], size = channels / groups_, begin = part * size;
        const float *means = numbers(y->src[0]), *variances = means + channels;
        double mean = 0, variance = 0;
        for (int64_t c = begin; c < begin + size; c++) mean += means[c] / static_cast<double>(size);
        for (int64_t c = begin; c < begin + size; c++) {
            variance += (variances[c] + (means[c] - mean) * (means[c] - mean)) / static_cast<double>(size);
        }
        // In this order a NaN stays one.
        const double scale = 1 / std::sqrt((variance < 0 ? 0 : variance) + eps_);
        auto * const to = static_cast<float *>(y->data);
        for (int64_t c = begin; c < begin + size; c++) {
            const float weight = numbers(y->src[1])[c], bias = numbers(y->src[2])[c];
            to[c] = static_cast<float>(weight * scale);
            to[channels + c] = static_cast<float>(bias - mean * weight * scale);
        }
    }

private:
    int groups_;
    float eps_;
};

// A part is a range of pixels of one image.
class GroupNorm : public Operation {
public:
    GroupNorm(Tensor image, bool residual, bool relu)
        : pixels_(image->ne[1] * image->ne[2]), batch_(image->ne[3]), residual_(residual), relu_(relu) {
        parts_ = std::min(parts_for(pixels_ * image->ne[0]), pixels_);
    }
    const char * name() const override { return "group norm, sum"; }
    int64_t parts() const override { return parts_ * batch_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        const int64_t channels = y->ne[0], image = part / parts_, i = part % parts_;
        const float * factors = numbers(y->src[1]) + image * 2 * channels;
        const int64_t begin = image * pixels_ + pixels_ * i / parts_,
                      end = image * pixels_ + pixels_ * (i + 1) / parts_;
        for (int64_t pixel = begin; pixel < end; pixel++) {
            const int64_t at = pixel * channels;
            const float * x = numbers(y->src[0]) + at;
            const float * residual = residual_ ? numbers(y->src[2]) + at : nullptr;
            float * to = static_cast<float *>(y->data) + at;
            for (int64_t c = 0; c < channels; c++) to[c] = x[c] * factors[c] + factors[channels + c];
            if (residual) {
                for (int64_t c = 0; c < channels; c++) to[c] += residual[c];
            }
            if (relu_) {
                for (int64_t c = 0; c < channels; c++) to[c] = to[c] < 0 ? 0 : to[c];
            }
        }
    }

private:
    int64_t pixels_, batch_, parts_;
    bool residual_, relu_;
};

} // namespace

NewNode group_sums_node(const CpuContext & cpu, Tensor image) {
    const int64_t channels = image->ne[0], pixels = image->ne[1] * image->ne[2], batch = image->ne[3];
    constexpr int64_t most_parts = 64;
    const int64_t parts = std::min({parts_for(pixels * channels), most_parts, pixels});
    return {std::make_unique<GroupSums>(cpu, parts, batch), GGML_TYPE_F32, {channels, 2, parts, batch}, {image}};
}

NewNode group_factors_node(const CpuContext & cpu, Tensor image, Tensor sums, Tensor weight, Tensor bias, int groups,
                           float eps) {
    const int64_t channels = image->ne[0], batch = image->ne[3];
    return {std::make_unique<GroupFactors>(cpu, groups, eps, batch),
            GGML_TYPE_F32,
            {channels, 2, 1, batch},
            {sums, image, weight, bias}};
}

NewNode statistics_node(Tensor so_far, Tensor part, Tensor sums, double before, double share) {
    return {std::make_unique<Statistics>(before, share), GGML_TYPE_F32, {part->ne[0], 2, 1, 1}, {part, sums, so_far}};
}

NewNode known_factors_node(Tensor statistics, Tensor weight, Tensor bias, int groups, float eps) {
    return {std::make_unique<KnownFactors>(groups, eps),
            GGML_TYPE_F32,
            {statistics->ne[0], 2, 1, 1},
            {statistics, weight, bias}};
}

NewNode group_norm_node(Tensor image, Tensor factors, Tensor residual, bool relu) {
    return {std::make_unique<GroupNorm>(image, residual != nullptr, relu),
            GGML_TYPE_F32,
            {image->ne[0], image->ne[1], image->ne[2], image->ne[3]},
            {image, factors, residual}};
}

} // namespace diffusion
