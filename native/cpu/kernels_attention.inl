// Attention with an online softmax (Milakov and Gimelshein 2018; Dao et al. 2022): only the scores of a block of
// queries and keys are in memory at a time. Part of kernels.inl.

namespace diffusion {
namespace {

constexpr int64_t key_block = 8 * nr;   // keys per block
constexpr int64_t query_block = 4 * mr; // queries per block

int64_t round_up(int64_t n, int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

// Hands out stretches of memory, each padded to whole cache lines.
struct Stretches {
    char * at;
    template <typename T> T * take(int64_t n) {
        char * const taken = at;
        at += round_up(n * static_cast<int64_t>(sizeof(T)), 64);
        return reinterpret_cast<T *>(taken);
    }
};

// The packed keys and values of a head.
struct PackedHead {
    int64_t padded_keys, size, wide; // keys in whole blocks; the head size rounded up to kr, and to a full vector
    Operand *keys, *values;
    size_t bytes;

    PackedHead(int64_t n_keys, int64_t head_size, const void * base) {
        padded_keys = round_up(n_keys, key_block);
        size = round_up(head_size, kr);
        wide = round_up(head_size, vector_width);
        Stretches memory{static_cast<char *>(const_cast<void *>(base))};
        keys = memory.take<Operand>(padded_keys * size);
        values = memory.take<Operand>(padded_keys * wide);
        bytes = memory.at - static_cast<const char *>(base);
    }
};

// The scratch memory of one block of queries and keys.
struct AttentionScratch {
    Operand * weights;
    float *scores, *sums;
    size_t bytes;

    AttentionScratch(int64_t wide, void * base) {
        Stretches memory{static_cast<char *>(base)};
        weights = memory.take<Operand>(query_block * key_block);
        scores = memory.take<float>(query_block * key_block);
        sums = memory.take<float>(query_block * wide);
        bytes = memory.at - static_cast<char *>(base);
    }
};

size_t packed_head_bytes(int64_t keys, int64_t size) {
    return PackedHead(keys, size, nullptr).bytes;
}

size_t attention_scratch(int64_t size) {
    return AttentionScratch(round_up(size, vector_width), nullptr).bytes;
}

// A key is packed as a column of a gemm's second factor, a value as a row. All padding is zero.
void pack_keys(const AttentionHead & h, int64_t begin, int64_t end, void * packed) {
    const PackedHead p(h.keys, h.size, packed);
    for (int64_t key = begin; key < (end == h.keys ? p.padded_keys : end); key++) {
        const int64_t n = key < end ? h.size : 0;
        const auto * k = static_cast<const Operand *>(h.k) + (key - begin) * h.k_stride;
        const auto * v = static_cast<const Operand *>(h.v) + (key - begin) * h.v_stride;
        Operand * const to = p.keys + key / nr * nr * p.size + key % nr * kr;
        for (int64_t i = 0; i < n; i++) to[i / kr * nr * kr + i % kr] = k[i];
        for (int64_t i = n; i < p.size; i++) to[i / kr * nr * kr + i % kr] = 0;
        // Panels of two vectors, and one of one vector where their number is odd; each block of keys on its own.
        const int64_t in_block = key % key_block;
        Operand * const block = p.values + key / key_block * key_block * p.wide;
        for (int64_t first = 0; first < p.wide; first += nr) {
            const int64_t width = least(nr, p.wide - first), present = least(width, n > first ? n - first : 0);
            Operand * const row = block + first * key_block + in_block / kr * kr * width + in_block % kr;
            for (int64_t i = 0; i < present; i++) row[i * kr] = v[first + i];
            for (int64_t i = present; i < width; i++) row[i * kr] = 0;
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

void attend(const AttentionHead & h, const PackedHead & p, const AttentionScratch & s, int64_t begin, int64_t end) {
    const float scale = 1.0f / sqrtf(static_cast<float>(h.size));
    float most[query_block], total[query_block];
    for (int64_t i = 0; i < end - begin; i++) most[i] = -INFINITY, total[i] = 0;
    std::memset(s.sums, 0, (end - begin) * p.wide * sizeof(float));
    const auto * q = static_cast<const Operand *>(h.q);
    const int64_t keys = h.causal ? least(h.keys, end) : h.keys;
    for (int64_t key = 0; key < keys; key += key_block) {
        const int64_t present = least(key_block, keys - key), padded = round_up(present, nr);
        const Segment full_row{0, p.size};
        for (int64_t i = 0; i < padded; i += nr) {
            for_micro_tiles(begin, end, [&](int64_t first, int64_t n) {
                micro_kernel_of<2>(n)(q + first * h.q_stride, h.q_stride, &full_row, 1, p.keys + (key + i) * p.size,
                                      s.scores + (first - begin) * key_block + i, key_block, false);
            });
        }
        for (int64_t i = 0; i < end - begin; i++) {
            const int64_t seen = h.causal ? begin + i + 1 - key : present;
            const int64_t n = seen < 0 ? 0 : least(seen, present);
            const float shrink =
                soften(s.scores + i * key_block, n, padded, scale, most[i], total[i], s.weights + i * key_block);
            if (shrink == 1.0f) continue;
            float * const row = s.sums + i * p.wide;
            for (int64_t c = 0; c < p.wide; c += vector_width) store(row + c, mul(load(row + c), splat(shrink)));
        }
        const Segment taken{0, padded};
        const Operand * block = p.values + key * p.wide;
        for (int64_t first = 0; first < p.wide; first += nr) {
            const bool pair = p.wide - first > vector_width;
            for_micro_tiles(0, end - begin, [&](int64_t row, int64_t n) {
                (pair ? micro_kernel_of<2>(n) : micro_kernel_of<1>(n))(s.weights + row * key_block, key_block, &taken,
                                                                       1, block + first * key_block,
                                                                       s.sums + row * p.wide + first, p.wide, true);
            });
        }
    }
    for (int64_t i = 0; i < end - begin; i++) {
        auto * y = static_cast<Operand *>(h.y) + (begin + i) * h.y_stride;
        const Vec share = splat(1.0f / total[i]);
        for (int64_t c = 0; c < h.size; c += vector_width) {
            store_some(y + c, mul(load(s.sums + i * p.wide + c), share), h.size - c);
        }
    }
}

void attention(const AttentionHead & head, const void * packed, void * scratch, int64_t begin, int64_t end) {
    const PackedHead p(head.keys, head.size, packed);
    const AttentionScratch s(p.wide, scratch);
    for (; begin < end; begin += query_block) attend(head, p, s, begin, least(begin + query_block, end));
}

} // namespace
} // namespace diffusion
