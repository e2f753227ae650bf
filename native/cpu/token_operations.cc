// Norms, rotary position embeddings and attention, as operations of a graph.
#include <algorithm>

#include "cpu/operations.h"

namespace diffusion {

namespace {

class NormOperation : public Operation {
public:
    NormOperation(const CpuContext & cpu, Tensor x, bool centred, const NormTensors & tensors, float eps)
        : kernels_(cpu.kernels), centred_(centred), eps_(eps), rows_(ggml_nrows(x)), image_rows_(x->ne[1]),
          parts_(std::min(parts_for(rows_ * x->ne[0]), rows_)) {
        int n = 1;
        const auto place = [&](Tensor tensor) { return tensor ? n++ : 0; };
        weight_ = place(tensors.weight), bias_ = place(tensors.bias), factor_ = place(tensors.factor);
        shift_ = place(tensors.shift), residual_ = place(tensors.residual);
    }
    const char * name() const override { return centred_ ? "layer norm" : "RMS norm"; }
    int64_t parts() const override { return parts_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        const Tensor x = y->src[0];
        const int64_t channels = x->ne[0];
        const auto data = [&](int i, int64_t row) {
            return i == 0 ? nullptr : static_cast<const float *>(y->src[i]->data) + row * channels;
        };
        TokenNorm n;
        n.channels = channels, n.centred = centred_, n.eps = eps_;
        n.weight = data(weight_, 0), n.bias = data(bias_, 0);
        for (int64_t row = rows_ * part / parts_; row < rows_ * (part + 1) / parts_; row++) {
            const int64_t image = row / image_rows_;
            n.x = static_cast<const float *>(x->data) + row * channels;
            n.factor = data(factor_, image), n.shift = data(shift_, image), n.residual = data(residual_, row);
            kernels_.token_norm(n, static_cast<char *>(y->data) + row * y->nb[1], y->type != GGML_TYPE_F32);
        }
    }

private:
    const Kernels & kernels_;
    bool centred_;
    float eps_;
    int64_t rows_, image_rows_, parts_;
    int weight_, bias_, factor_, shift_, residual_; // indices of sources; 0 for none
};

class TurnHeads : public Operation {
public:
    TurnHeads(const CpuContext & cpu, Tensor x, Tensor weight, float eps, Tensor angles, bool neighbours)
        : kernels_(cpu.kernels), size_(angles->ne[0]), eps_(eps), has_weight_(weight != nullptr),
          neighbours_(neighbours), rows_(ggml_nrows(x)), parts_(std::min(parts_for(rows_ * x->ne[0]), rows_)) {}
    const char * name() const override { return "rotary embeddings"; }
    int64_t parts() const override { return parts_; }

    void compute(Tensor y, int64_t part, ThreadScratch &) override {
        const Tensor x = y->src[0];
        const auto data = [&](int i) { return static_cast<const float *>(y->src[i]->data); };
        HeadTurn t;
        t.size = size_, t.heads = x->ne[0] / size_, t.eps = eps_, t.neighbours = neighbours_;
        if (has_weight_) t.weight = data(2);
        for (int64_t row = rows_ * part / parts_; row < rows_ * (part + 1) / parts_; row++) {
            t.x = data(0) + row * x->ne[0];
            t.cosines = data(1) + row % x->ne[1] * 2 * size_;
            t.sines = t.cosines + size_;
            kernels_.turn_heads(t, static_cast<char *>(y->data) + row * y->nb[1]);
        }
    }

private:
    const Kernels & kernels_;
    int64_t size_;
    float eps_;
    bool has_weight_, neighbours_;
    int64_t rows_, parts_;
};

// A part is a range of a head's queries.
class Attention : public Operation {
public:
    // `group`: heads of queries for each head of keys.
    Attention(const CpuContext & cpu, int64_t heads, int64_t group, bool causal, int64_t queries, int64_t keys,
              int64_t size, int64_t batch)
        : kernels_(cpu.kernels), heads_(heads), group_(group), causal_(causal), queries_(queries), keys_(keys),
          size_(size), batch_(batch) {
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
        const int64_t image = head / heads_, first = head % heads_ * size_, first_key = head % heads_ / group_ * size_;
        const auto at = [&](Tensor t, int64_t channel) {
            return static_cast<char *>(t->data) + image * t->nb[2] + channel * t->nb[0];
        };
        const auto stride = [](Tensor t) { return static_cast<int64_t>(t->nb[1] / t->nb[0]); };
        const Tensor q = y->src[0], k = y->src[1], v = y->src[2];
        AttentionHead h;
        h.q = at(q, first), h.k = at(k, first_key), h.v = at(v, first_key), h.y = at(y, first);
        h.q_stride = stride(q), h.k_stride = stride(k), h.v_stride = stride(v), h.y_stride = stride(y);
        h.keys = keys_, h.size = size_, h.causal = causal_;
        if (scratch.held != head / group_) kernels_.pack_keys(h, 0, keys_, scratch.memory);
        scratch.held = head / group_;
        kernels_.attention(h, scratch.memory,
                           static_cast<char *>(scratch.memory) + kernels_.packed_head_bytes(keys_, size_),
                           queries_ * stretch / stretches_, queries_ * (stretch + 1) / stretches_);
    }

private:
    const Kernels & kernels_;
    int64_t heads_, group_;
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

NewNode token_norm_node(const CpuContext & cpu, Tensor x, bool centred, const NormTensors & tensors, float eps,
                        bool for_gemm) {
    return {std::make_unique<NormOperation>(cpu, x, centred, tensors, eps),
            for_gemm ? cpu.kernels.operand : GGML_TYPE_F32,
            {x->ne[0], x->ne[1], x->ne[2], x->ne[3]},
            {x, tensors.weight, tensors.bias, tensors.factor, tensors.shift, tensors.residual}};
}

NewNode turn_heads_node(const CpuContext & cpu, Tensor x, Tensor weight, float eps, Tensor angles, bool neighbours) {
    return {std::make_unique<TurnHeads>(cpu, x, weight, eps, angles, neighbours),
            cpu.kernels.operand,
            {x->ne[0], x->ne[1], x->ne[2], x->ne[3]},
            {x, angles, weight}};
}

NewNode attention_node(const CpuContext & cpu, Tensor q, Tensor k, Tensor v, int64_t heads, bool causal) {
    const int64_t size = q->ne[0] / heads, group = q->ne[0] / k->ne[0];
    return {std::make_unique<Attention>(cpu, heads, group, causal, q->ne[1], k->ne[1], size, q->ne[2]),
            cpu.kernels.operand,
            {q->ne[0], q->ne[1], q->ne[2], 1},
            {q, k, v}};
}

} // namespace diffusion
