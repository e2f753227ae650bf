// Images in a byte a number, with a range of its own for each channel of 8x8 pixels. Part of kernels.inl.

namespace diffusion {
namespace {

// Numbers that are not finite make all of their channel's block NaN. The channels are whole vectors.
void store_block(const float * x, int64_t channels, int64_t line_stride, int64_t width, int64_t height, void * block) {
    auto * const lowest = static_cast<float *>(block);
    float * const steps = lowest + channels;
    auto * const bytes = reinterpret_cast<uint8_t *>(steps + channels);
    for (int64_t c = 0; c < channels; c += vector_width) {
        Vec low = load(x + c), high = low, invalid = zero();
        for (int64_t j = 0; j < height; j++) {
            for (int64_t i = 0; i < width; i++) {
                const Vec v = load(x + j * line_stride + i * channels + c);
                low = min(low, v);
                high = max(high, v);
                invalid = fma(v, zero(), invalid);
            }
        }
        const Vec step = add(mul(sub(high, low), splat(1.0f / 255)), invalid);
        const Vec inverse = div(splat(1.0f), max(step, splat(1e-30f)));
        store(lowest + c, add(low, invalid));
        store(steps + c, step);
        for (int64_t j = 0; j < height; j++) {
            for (int64_t i = 0; i < width; i++) {
                const Vec v = sub(load(x + j * line_stride + i * channels + c), low);
                store_bytes(bytes + (j * block_side + i) * channels + c, min(mul(v, inverse), splat(255.0f)));
            }
        }
    }
}

void load_block(const void * block, int64_t channels, int64_t x, int64_t y, int64_t count, float * to) {
    const auto * const lowest = static_cast<const float *>(block);
    const float * const steps = lowest + channels;
    const auto * bytes = reinterpret_cast<const uint8_t *>(steps + channels) + (y * block_side + x) * channels;
    for (int64_t i = 0; i < count; i++, bytes += channels, to += channels) {
        for (int64_t c = 0; c < channels; c += vector_width) {
            store(to + c, fma(from_bytes(bytes + c), load(steps + c), load(lowest + c)));
        }
    }
}

} // namespace
} // namespace diffusion
