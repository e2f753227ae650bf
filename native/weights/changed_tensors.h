// Tensors on a device that LoRAs change.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "ggml-backend.h"

#include "cancellation.h"
#include "cpu/row_delta.h"
#include "graph/layers.h"
#include "weights/weight_binder.h"

namespace diffusion {

// A sum is written into the tensor, or into memory of its own if the tensor is in a mapped file. Quantized numbers are
// never quantized again: the factors of a low-rank change to a layer's matrix are placed on the device, for a product
// beside the layer's; otherwise the tensor becomes one of f16 with memory of its own.
class ChangedTensors {
public:
    // `products`: where the factors of low-rank changes are entered; nullptr if the layers do not compute them.
    ChangedTensors(ggml_backend_t backend, LowRankProducts * products) : backend_(backend), products_(products) {}
    ~ChangedTensors();
    ChangedTensors(const ChangedTensors &) = delete;
    ChangedTensors & operator=(const ChangedTensors &) = delete;

    // What is done with a tensor that is not quantized.
    enum class Way {
        in_place, // its memory is written to
        own,      // it gets memory of its own
        beside,   // as with one that is quantized
    };
    // Replaces the tensor's current change. Throws Error (cancelled, out_of_memory); the tensor's values are then
    // undefined until the next call.
    void change(const WeightBinder::Binding & binding, const RowDelta & delta, Way way,
                const Cancellation & cancellation);
    // The tensor as it was before; false if its change was written into it.
    bool restore(Tensor tensor) noexcept;

    // Whether the tensor has memory of its own.
    bool has_own(Tensor tensor) const { return own_.contains(tensor); }
    // Of tensors with memory of their own, and of factors.
    int64_t bytes() const;

private:
    struct FreeBuffer {
        void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
    };
    struct FreeContext {
        void operator()(ggml_context * context) const { ggml_free(context); }
    };
    using Buffer = std::unique_ptr<ggml_backend_buffer, FreeBuffer>;
    struct Own {
        Buffer buffer;
        ggml_tensor before;
    };
    struct Factors {
        std::unique_ptr<ggml_context, FreeContext> context;
        Buffer buffer;
    };

    Buffer allocate(size_t bytes) const;
    void give_memory(Tensor tensor, ggml_type type);
    void place_factors(Tensor weight, const std::vector<LowRankTerm> & terms);

    ggml_backend_t backend_;
    LowRankProducts * products_;
    std::unordered_map<Tensor, Own> own_;
    std::unordered_map<Tensor, Factors> factors_; // by weight
};

} // namespace diffusion
