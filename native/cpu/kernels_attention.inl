// Attention with an online softmax (Milakov and Gimelshein 2018; Dao et al. 2022): only the scores of a block of
// queries and keys are in memory at a time. Part of kernels.inl.

namespace diffusion {
namespace {

constexpr int64_t key_block = 8 * nr;   // keys per block
constexpr int64_t query_block = 4 * mr; // queries per block

int64_t round_up(int64_t n, int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

// The layout of a head's scratch memory.
struct HeadScratch {
    int64_t blocks, size, wide;       // blocks of keys; the head size rounded up to kr, and to a full vector
    Operand *keys, *values, *weights; // packed; weights are of one block of queries and keys
    float *scores, *sums;
    size_t bytes;

    HeadScratch(int64_t n_keys, int64_t head_size, void * base) {
        blocks = (n_keys + key_block - 1) / key_block;
        size = round_up(head_size, kr);
        wide = round_up(head_size, vector_width);
        auto * at = static_cast<char *>(base);
        const auto take = [&](int64_t n, size_t each) {
            char * const taken = at;
            at += round_up(n * static_cast<int64_t>(each), 64);
            return taken;
        };
        keys = reinterpret_cast<Operand *>(take(blocks * key_block * size, sizeof(Operand)));
        values = reinterpret_cast<Operand *>(take(blocks * key_block * wide, sizeof(Operand)));
        weights = reinterpret_cast<Operand *>(take(query_block * key_block, sizeof(Operand)));
        scores = reinterpret_cast<float *>(take(query_block * key_block, sizeof(float)));
        sums = reinterpret_cast<float *>(take(query_block * wide, sizeof(float)));
        bytes = at - static_cast<char *>(base);
    }
};

size_t attention_scratch(int64_t keys, int64_t size) {
    return HeadScratch(keys, size, nullptr).bytes;
}

// Packs keys as columns of b, for q k^T, and values as rows of b.
void pack_head(const AttentionHead & h, void * scratch) {
    const HeadScratch s(h.keys, h.size, scratch);
    std::memset(s.keys, 0, s.blocks * key_block * s.size * sizeof(Operand));
    std::memset(s.values, 0, s.blocks * key_block * s.wide * sizeof(Operand));
    for (int64_t key = 0; key < h.keys; key++) {
        const auto * k = static_cast<const Operand *>(h.k) + key * h.k_stride;
        const auto * v = static_cast<const Operand *>(h.v) + key * h.v_stride;
        Operand * const to = s.keys + key / nr * nr * s.size + key % nr * kr;
        for (int64_t i = 0; i < h.size; i++) to[i / kr * nr * kr + i % kr] = k[i];
        // Panels of two vectors, and one of a single vector if their number is odd, for each block of keys.
        const int64_t in_block = key % key_block;
        Operand * const block = s.values + key / key_block * key_block * s.wide;
        for (int64_t first = 0; first < s.wide; first += nr) {
            const int64_t width = least(nr, s.wide - first);
            Operand * const row = block + first * key_block + in_block / kr * kr * width + in_block % kr;
            for (int64_t i = 0; i < width && first + i < h.size; i++) row[i * kr] = v[first + i];
        }
    }
}

// Turns the scores of a row into weights exp(score - maximum), and returns the factor by which to rescale the row's
// sums so far.
float soften(const float * scores, int64_t n, int64_t padded, float scale, float & most, float & total,
             Operand * weights) {
    Vec m = splat(-INFINITY);
    int64_t i = 0;
    for (; i + vector_width <= n; i += vector_width) m = max(m, load(scores + i));
    float high = largest(m);
    for (; i < n; i++) high = scores[i] > high ? scores[i] : high;
    high = high * scale > most ? high * scale : most;

    const Vec shift = splat(-high), factor = splat(scale);
    Vec s = zero();
    for (i = 0; i < padded; i += vector_width) {
        Vec e = exp(fma(load(scores + i), factor, shift));
        if (i + vector_width > n) e = keep_first(e, n - i > 0 ? n - i : 0);
        s = add(s, e);
        store(weights + i, e);
    }
    float shrink;
    store_first(&shrink, exp(splat(most - high)));
    total = total * shrink + sum(s);
    most = high;
    return shrink;
}

void attend(const AttentionHead & h, const HeadScratch & s, int64_t begin, int64_t end) {
    const float scale = 1.0f / sqrtf(static_cast<float>(h.size));
    float most[query_block], total[query_block];
    for (int64_t i = 0; i < end - begin; i++) most[i] = -INFINITY, total[i] = 0;
    std::memset(s.sums, 0, (end - begin) * s.wide * sizeof(float));
    const auto * q = static_cast<const Operand *>(h.q);
    const int64_t keys = h.causal ? least(h.keys, end) : h.keys;
    for (int64_t key = 0; key < keys; key += key_block) {
        const int64_t present = least(key_block, keys - key), padded = round_up(present, nr);
        const Segment full_row{0, s.size};
        for (int64_t p = 0; p < padded; p += nr) {
            for_micro_tiles(begin, end, [&](int64_t first, int64_t n) {
                micro_kernel_of<2>(n)(q + first * h.q_stride, h.q_stride, &full_row, 1, s.keys + (key + p) * s.size,
                                      s.scores + (first - begin) * key_block + p, key_block, false);
            });
        }
        for (int64_t i = 0; i < end - begin; i++) {
            const int64_t seen = h.causal ? begin + i + 1 - key : present;
            const int64_t n = seen < 0 ? 0 : least(seen, present);
            const float shrink =
                soften(s.scores + i * key_block, n, padded, scale, most[i], total[i], s.weights + i * key_block);
            if (shrink == 1.0f) continue;
            float * const row = s.sums + i * s.wide;
            for (int64_t c = 0; c < s.wide; c += vector_width) store(row + c, mul(load(row + c), splat(shrink)));
        }
        const Segment taken{0, padded};
        const Operand * block = s.values + key * s.wide;
        for (int64_t first = 0; first < s.wide; first += nr) {
            const bool pair = s.wide - first > vector_width;
            for_micro_tiles(0, end - begin, [&](int64_t row, int64_t n) {
                (pair ? micro_kernel_of<2>(n) : micro_kernel_of<1>(n))(s.weights + row * key_block, key_block, &taken,
                                                                       1, block + first * key_block,
                                                                       s.sums + row * s.wide + first, s.wide, true);
            });
        }
    }
    for (int64_t i = 0; i < end - begin; i++) {
        auto * y = static_cast<Operand *>(h.y) + (begin + i) * h.y_stride;
        const Vec share = splat(1.0f / total[i]);
        for (int64_t c = 0; c < h.size; c += vector_width) {
            store_some(y + c, mul(load(s.sums + i * s.wide + c), share), h.size - c);
        }
    }
}

void attention(const AttentionHead & head, void * scratch, int64_t begin, int64_t end) {
    const HeadScratch s(head.keys, head.size, scratch);
    for (; begin < end; begin += query_block) attend(head, s, begin, least(begin + query_block, end));
}

} // namespace
} // namespace diffusion
