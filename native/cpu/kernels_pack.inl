// Packs weights into the panels that products read. Part of kernels.inl.

namespace diffusion {
namespace {

// Input channels that are decoded together, as f32, and of these, those whose columns are then interleaved: they fit the
// L2 and the L1 cache.
constexpr int64_t decoded_channels = 256, interleaved_channels = 32;

int64_t padded_to(int64_t n, int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

// Numbers between the rows of decoded channels; not a power of two, so that rows are not in the same cache sets.
int64_t decoded_stride(int64_t in, int64_t taps) {
    return padded_to(least(in, decoded_channels) * taps, vector_width) + vector_width;
}

size_t pack_scratch(int64_t in, int64_t taps) {
    const int64_t interleaved = padded_to(interleaved_channels * taps, vector_width);
    const int64_t floats = vector_width * (decoded_stride(in, taps) + interleaved);
    return static_cast<size_t>(floats > in * taps ? floats : in * taps) * sizeof(float);
}

// Rows of vectors [count] -> vectors of one number of each row [count, vector_width].
void interleave(const float * rows, int64_t stride, int64_t count, float * to) {
    for (int64_t i = 0; i < count; i += vector_width) {
        Vec x[vector_width];
        for (int c = 0; c < vector_width; c++) x[c] = load(rows + c * stride + i);
        transpose(x);
        for (int c = 0; c < vector_width; c++) store(to + (i + c) * vector_width, x[c]);
    }
}

// One vector of a panel's columns: `columns` rows of the source, starting at `row`.
void pack_vector(const PanelSource & s, int64_t row, int64_t columns, int64_t width, Operand * y, float * scratch) {
    const int64_t stride = decoded_stride(s.in, s.taps), padded = padded_to(s.in, kr);
    float * const interleaved = scratch + vector_width * stride;
    for (int64_t first = 0; first < s.in; first += decoded_channels) {
        const int64_t channels = least(decoded_channels, s.in - first);
        for (int64_t c = 0; c < vector_width; c++) {
            float * const values = scratch + c * stride;
            if (c < columns) {
                s.decode(s.data, ((row + c) * s.in + first) * s.taps, channels * s.taps, values);
            } else {
                std::memset(values, 0, channels * s.taps * sizeof(float));
            }
        }
        for (int64_t some = 0; some < channels; some += interleaved_channels) {
            const int64_t n = least(interleaved_channels, channels - some);
            interleave(scratch + some * s.taps, stride, n * s.taps, interleaved);
            for (int64_t t = 0; t < s.taps; t++) {
                Operand * to = y + (t * padded + first + some) * width;
                const float * from = interleaved + t * vector_width;
                const int64_t next = s.taps * vector_width;
                for (int64_t i = 0; i < n; i += kr, to += kr * width, from += kr * next) {
                    store_step(to, load(from), i + 1 < n ? load(from + (kr - 1) * next) : zero());
                }
            }
        }
    }
}

// [taps, in] of each column -> [taps, in / kr, columns, kr], so that a product reads the panel sequentially.
void pack(const PanelSource & s, void * panel, void * scratch) {
    const bool gated = s.second >= 0;
    const int64_t vectors = gated ? 2 : vectors_of(s.columns), width = vectors * vector_width;
    for (int64_t v = 0; v < vectors; v++) {
        const int64_t before = gated ? 0 : v * vector_width;
        pack_vector(s, (gated && v > 0 ? s.second : s.first) + before, least(s.columns - before, vector_width), width,
                    static_cast<Operand *>(panel) + v * vector_width * kr, static_cast<float *>(scratch));
    }
}

} // namespace
} // namespace diffusion
