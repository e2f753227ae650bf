// Layer norm and attention, as operations of a graph.
#include <algorithm>

#include "cpu/operations.h"

namespace diffusion {

namespace {

class LayerNorm : public Operation {
public:
    LayerNorm(const CpuContext & cpu, int64_t channels, int64_t rows, float eps)
        : kernels_(cpu.kernels), rows_(rows), eps_(eps) {
        parts_ = std::min(parts_for(rows * channels), rows);
    }
    const char * name() const override { return "layer norm"; }
    int64_t parts() const override { return parts_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        const Tensor x = y->src[0];
        const auto data = [&](int i) { return static_cast<const float *>(y->src[i]->data); };
        for (int64_t row = rows_ * part / parts_; row < rows_ * (part + 1) / parts_; row++) {
            kernels_.layer_norm(data(0) + row * x->ne[0], x->ne[0], data(1), data(2), eps_,
                                static_cast<char *>(y->data) + row * y->nb[1], y->type != GGML_TYPE_F32);
        }
    }

private:
    const Kernels & kernels_;
    int64_t rows_, parts_;
    float eps_;
};

// A part is a range of a head's queries.
class Attention : public Operation {
public:
    Attention(const CpuContext & cpu, int64_t heads, bool causal, int64_t queries, int64_t keys, int64_t size,
              int64_t batch)
        : kernels_(cpu.kernels), heads_(heads), causal_(causal), queries_(queries), keys_(keys), size_(size),
          batch_(batch) {
        // Each part packs keys and values first, so there are only as many parts as needed to balance the threads.
        const int64_t wanted = 4 * cpu.threads, least_queries = 64;
        stretches_ = std::clamp<int64_t>((wanted + heads * batch - 1) / (heads * batch), 1,
                                         std::max<int64_t>(1, queries / least_queries));
    }
    const char * name() const override { return "attention"; }
    int64_t parts() const override { return batch_ * heads_ * stretches_; }
    size_t scratch_bytes() const override {
        return kernels_.packed_head_bytes(keys_, size_) + kernels_.attention_scratch(size_);
    }
    double work() const override { return 4.0 * batch_ * heads_ * queries_ * keys_ * size_; }

    void compute(Tensor y, int64_t part, ThreadScratch & scratch) override {
        const int64_t head = part / stretches_, stretch = part % stretches_;
        const int64_t image = head / heads_, first = head % heads_ * size_;
        const auto at = [&](Tensor t) { return static_cast<char *>(t->data) + image * t->nb[2] + first * t->nb[0]; };
        const auto stride = [](Tensor t) { return static_cast<int64_t>(t->nb[1] / t->nb[0]); };
        const Tensor q = y->src[0], k = y->src[1], v = y->src[2];
        AttentionHead h;
        h.q = at(q), h.k = at(k), h.v = at(v), h.y = at(y);
        h.q_stride = stride(q), h.k_stride = stride(k), h.v_stride = stride(v), h.y_stride = stride(y);
        h.keys = keys_, h.size = size_, h.causal = causal_;
        if (scratch.held != head) kernels_.pack_keys(h, 0, keys_, scratch.memory);
        scratch.held = head;
        kernels_.attention(h, scratch.memory,
                           static_cast<char *>(scratch.memory) + kernels_.packed_head_bytes(keys_, size_),
                           queries_ * stretch / stretches_, queries_ * (stretch + 1) / stretches_);
    }

private:
    const Kernels & kernels_;
    int64_t heads_;
    bool causal_;
    int64_t queries_, keys_, size_, batch_, stretches_;
};

// A part is a range of keys.
class PackKeys : public Operation {
public:
    PackKeys(const CpuContext & cpu, int64_t keys, int64_t first, int64_t count, int64_t size)
        : kernels_(cpu.kernels), keys_(keys), first_(first), count_(count), size_(size),
          parts_(std::min(parts_for(2 * count * size), count)) {}
    const char * name() const override { return "attention, keys"; }
    int64_t parts() const override { return parts_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        const Tensor k = y->src[1], v = y->src[2];
        const int64_t begin = count_ * part / parts_, end = count_ * (part + 1) / parts_;
        AttentionHead h;
        h.k = static_cast<char *>(k->data) + begin * k->nb[1];
        h.v = static_cast<char *>(v->data) + begin * v->nb[1];
        h.k_stride = static_cast<int64_t>(k->nb[1] / k->nb[0]);
        h.v_stride = static_cast<int64_t>(v->nb[1] / v->nb[0]);
        h.keys = keys_, h.size = size_;
        kernels_.pack_keys(h, first_ + begin, first_ + end, y->data);
    }

private:
    const Kernels & kernels_;
    int64_t keys_, first_, count_, size_, parts_;
};

// A part is a range of queries.
class PackedAttention : public Operation {
public:
    PackedAttention(const CpuContext & cpu, int64_t queries, int64_t keys, int64_t size)
        : kernels_(cpu.kernels), queries_(queries), keys_(keys), size_(size) {
        constexpr int64_t least_queries = 64;
        parts_ = std::clamp<int64_t>(4 * cpu.threads, 1, std::max<int64_t>(1, queries / least_queries));
    }
    const char * name() const override { return "attention"; }
    int64_t parts() const override { return parts_; }
    size_t scratch_bytes() const override { return kernels_.attention_scratch(size_); }
    double work() const override { return 4.0 * queries_ * keys_ * size_; }

    void compute(Tensor y, int64_t part, ThreadScratch & scratch) override {
        const Tensor q = y->src[0];
        AttentionHead h;
        h.q = q->data, h.y = y->data;
        h.q_stride = static_cast<int64_t>(q->nb[1] / q->nb[0]);
        h.y_stride = static_cast<int64_t>(y->nb[1] / y->nb[0]);
        h.keys = keys_, h.size = size_;
        kernels_.attention(h, y->src[1]->data, scratch.memory, queries_ * part / parts_,
                           queries_ * (part + 1) / parts_);
    }

private:
    const Kernels & kernels_;
    int64_t queries_, keys_, size_, parts_;
};

} // namespace

NewNode pack_keys_node(const CpuContext & cpu, Tensor k, Tensor v, int64_t keys, int64_t first) {
    return {std::make_unique<PackKeys>(cpu, keys, first, k->ne[1], k->ne[0]), GGML_TYPE_I8, {}, {k, v}};
}

NewNode packed_attention_node(const CpuContext & cpu, Tensor q, Tensor packed, int64_t keys) {
    return {std::make_unique<PackedAttention>(cpu, q->ne[1], keys, q->ne[0]),
            cpu.kernels.operand,
            {q->ne[0], q->ne[1], 1, 1},
            {q, packed}};
}

NewNode layer_norm_node(const CpuContext & cpu, Tensor x, Tensor weight, Tensor bias, float eps, bool for_gemm) {
    return {std::make_unique<LayerNorm>(cpu, x->ne[0], ggml_nrows(x), eps),
            for_gemm ? cpu.kernels.operand : GGML_TYPE_F32,
            {x->ne[0], x->ne[1], x->ne[2], x->ne[3]},
            {x, weight, bias}};
}

NewNode attention_node(const CpuContext & cpu, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal) {
    return {std::make_unique<Attention>(cpu, heads, causal, q->ne[1], k->ne[1], q->ne[0] / heads, q->ne[2]),
            cpu.kernels.operand,
            {q->ne[0], q->ne[1], q->ne[2], 1},
            {q, k, v}};
}

} // namespace diffusion
