// Norms, rotary position embeddings, and the conversion of images to inputs of products. Part of kernels.inl.

namespace diffusion {
namespace {

// Sums are relative to the image's first pixel, because the variance would cancel if the mean is far from zero.
void group_sums(const float * x, int64_t channels, int64_t begin, int64_t end, float * sums) {
    std::memset(sums, 0, 2 * channels * sizeof(float));
    for (int64_t c = 0; c < channels; c += vector_width) {
        const int64_t n = channels - c;
        const Vec pivot = load_some(x + c, n);
        Vec s = zero(), squares = zero();
        for (int64_t i = begin; i < end; i++) {
            const Vec d = sub(load_some(x + i * channels + c, n), pivot);
            s = add(s, d);
            squares = fma(d, d, squares);
        }
        store_some(sums + c, s, n);
        store_some(sums + channels + c, squares, n);
    }
}

void group_factors(const Normalization & n, int64_t image, float * factors) {
    const int64_t pixels = n.width * n.height, size = n.channels / n.groups;
    const float * pivot = n.x + image * pixels * n.channels;
    const float * sums = n.sums + image * n.parts * 2 * n.channels;
    for (int64_t g = 0; g < n.groups; g++) {
        double means = 0, squares = 0;
        // The mean and variance of a channel, from the sums relative to the pivot.
        const auto channel = [&](int64_t c, double & mean, double & variance) {
            double s = 0, ss = 0;
            for (int64_t p = 0; p < n.parts; p++) {
                s += sums[p * 2 * n.channels + c];
                ss += sums[p * 2 * n.channels + n.channels + c];
            }
            mean = pivot[c] + s / pixels;
            variance = ss / pixels - (s / pixels) * (s / pixels);
        };
        double mean, variance;
        for (int64_t c = g * size; c < (g + 1) * size; c++) {
            channel(c, mean, variance);
            means += mean / size;
        }
        for (int64_t c = g * size; c < (g + 1) * size; c++) {
            channel(c, mean, variance);
            squares += (variance + (mean - means) * (mean - means)) / size;
        }
        const double scale = 1.0 / sqrt((squares > 0 ? squares : 0) + n.eps);
        for (int64_t c = g * size; c < (g + 1) * size; c++) {
            factors[c] = static_cast<float>(n.weight[c] * scale);
            factors[n.channels + c] = static_cast<float>(n.bias[c] - means * n.weight[c] * scale);
        }
    }
}

template <bool normalize, Activation activation>
void prepare_pixel(const float * x, const float * factors, int64_t channels, Operand * y) {
    for (int64_t c = 0; c < channels; c += vector_width) {
        const int64_t n = channels - c;
        Vec v = load_some(x + c, n);
        if (normalize) v = fma(v, load_some(factors + c, n), load_some(factors + channels + c, n));
        if (activation == Activation::silu) v = silu(v);
        if (activation == Activation::relu) v = max(zero(), v); // this order keeps NaN
        store_some(y + c, v, n);
    }
}

using Preparation = void (*)(const float * x, const float * factors, int64_t channels, Operand * y);

template <bool normalize> Preparation preparation(Activation activation) {
    switch (activation) {
        case Activation::silu: return prepare_pixel<normalize, Activation::silu>;
        case Activation::relu: return prepare_pixel<normalize, Activation::relu>;
        default: return prepare_pixel<normalize, Activation::none>;
    }
}

void prepare_line(const Normalization & n, const float * factors, int64_t image, int64_t line, const int32_t * columns,
                  int64_t n_columns, void * y, int64_t padded) {
    const float * from = n.x + (image * n.height + line) * n.width * n.channels;
    auto * to = static_cast<Operand *>(y);
    const auto prepare = factors ? preparation<true>(n.activation) : preparation<false>(n.activation);
    for (int64_t i = 0; i < n_columns; i++, to += padded) {
        prepare(from + columns[i] * n.channels, factors, n.channels, to);
        for (int64_t c = n.channels; c < padded; c++) to[c] = 0;
    }
}

void token_norm(const TokenNorm & t, void * y, bool y_is_operand) {
    const int64_t channels = t.channels;
    float mean = 0;
    if (t.centred) {
        Vec s = zero();
        for (int64_t c = 0; c < channels; c += vector_width) s = add(s, load_some(t.x + c, channels - c));
        mean = sum(s) / channels;
    }
    Vec squares = zero();
    for (int64_t c = 0; c < channels; c += vector_width) {
        const int64_t n = channels - c;
        const Vec d = sub(load_some(t.x + c, n), splat(mean));
        // Lanes beyond the last channel were read as zero and must not count.
        squares = add(squares, n >= vector_width ? mul(d, d) : keep_first(mul(d, d), n));
    }
    const Vec scale = splat(1.0f / sqrtf(sum(squares) / channels + t.eps));
    for (int64_t c = 0; c < channels; c += vector_width) {
        const int64_t n = channels - c;
        const Vec d = mul(sub(load_some(t.x + c, n), splat(mean)), scale);
        Vec factor = t.weight ? load_some(t.weight + c, n) : splat(1.0f);
        if (t.factor) factor = mul(factor, load_some(t.factor + c, n));
        Vec shift = t.bias ? load_some(t.bias + c, n) : zero();
        if (t.shift) shift = add(shift, load_some(t.shift + c, n));
        if (t.residual) shift = add(shift, load_some(t.residual + c, n));
        const Vec v = fma(d, factor, shift);
        if (y_is_operand) {
            store_some(static_cast<Operand *>(y) + c, v, n);
        } else {
            store_some(static_cast<float *>(y) + c, v, n);
        }
    }
}

void turn_heads(const HeadTurn & t, void * y) {
    const int64_t half = t.size / 2;
    // Whether the partners of a vector are a vector.
    const bool whole = t.size % vector_width == 0 && (t.neighbours || half % vector_width == 0);
    for (int64_t head = 0; head < t.heads; head++) {
        const float * const x = t.x + head * t.size;
        Operand * const to = static_cast<Operand *>(y) + head * t.size;
        float scale = 1;
        if (t.weight) {
            Vec squares = zero();
            for (int64_t c = 0; c < t.size; c += vector_width) {
                const Vec v = load_some(x + c, t.size - c);
                squares = fma(v, v, squares);
            }
            scale = 1.0f / sqrtf(sum(squares) / t.size + t.eps);
        }
        if (!whole) {
            const auto normed = [&](int64_t c) { return x[c] * scale * (t.weight ? t.weight[c] : 1.0f); };
            for (int64_t c = 0; c < t.size; c++) {
                const int64_t partner = t.neighbours ? c ^ 1 : c < half ? c + half : c - half;
                to[c] = operand(normed(c) * t.cosines[c] + normed(partner) * t.sines[c]);
            }
            continue;
        }
        const auto normed = [&](int64_t c) {
            const Vec v = mul(load(x + c), splat(scale));
            return t.weight ? mul(v, load(t.weight + c)) : v;
        };
        for (int64_t c = 0; c < t.size; c += vector_width) {
            const Vec v = normed(c);
            const Vec other = t.neighbours ? swap_neighbours(v) : normed(c < half ? c + half : c - half);
            store(to + c, fma(other, load(t.sines + c), mul(v, load(t.cosines + c))));
        }
    }
}

} // namespace
} // namespace diffusion
