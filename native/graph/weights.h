// The tensors that a network asks for: checked against the files first, then placed on a device.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "ggml-backend.h"

#include "cancellation.h"
#include "graph/blocks.h"
#include "io/tensor_table.h"

namespace diffusion {

// Collects what a network needs. A tensor that is missing or misshapen is noted, not thrown, so that all of them can be
// reported at once; the network is usable only if `missing()` and `mismatched()` are empty.
class WeightBinder {
public:
    struct Binding {
        Tensor tensor;
        const StoredTensor * stored;
    };

    // `table` must outlive the binder.
    explicit WeightBinder(const TensorTable & table);
    ~WeightBinder();
    WeightBinder(const WeightBinder &) = delete;
    WeightBinder & operator=(const WeightBinder &) = delete;

    const TensorTable & table() const { return table_; }
    // Dimension `i` of a stored tensor in ggml's order; 0 where the tensor is missing. Throws Error (model_unsupported)
    // where it is larger than that of any network.
    int64_t size(const std::string & name, int i) const;
    bool has(const std::string & name) const { return table_.find(name) != nullptr; }
    // The channels that a convolution gives; its bias tells where the kernel is missing.
    int64_t conv_channels(const std::string & prefix) const;
    // Every i of a tensor `<prefix><i>.*`, in order.
    std::vector<int64_t> indices(const std::string & prefix) const;
    // One more than the largest of them; 0 where there is none.
    int64_t count(const std::string & prefix) const;

    // A matrix or kernel in the type that the file has. Dimensions of size 1 may stand anywhere, so that a 1x1
    // convolution may be stored as a matrix and the other way round.
    Tensor weight(const std::string & name, std::initializer_list<int64_t> ne);
    // A small tensor that element-wise operations take: converted to f32.
    Tensor parameter(const std::string & name, std::initializer_list<int64_t> ne);

    Linear linear(const std::string & prefix, int64_t in, int64_t out, bool bias = true);
    Conv2d conv(const std::string & prefix, int64_t in, int64_t out, int64_t kernel);
    Norm norm(const std::string & prefix, int64_t channels);

    const std::vector<Binding> & bindings() const { return bindings_; }
    const std::vector<std::string> & missing() const { return missing_; }
    const std::vector<std::string> & mismatched() const { return mismatched_; }
    bool uses(const std::string & name) const { return used_.count(name) > 0; }

private:
    Tensor bind(const std::string & name, std::initializer_list<int64_t> ne, bool to_f32);

    const TensorTable & table_;
    ggml_context * context_ = nullptr;
    std::vector<Binding> bindings_;
    std::vector<std::string> missing_;
    std::vector<std::string> mismatched_;
    std::unordered_set<std::string> used_;
};

// Device memory that holds bound tensors; the mappings of the table must stay alive while it is used.
class PlacedWeights {
public:
    using Progress = std::function<void(int64_t done, int64_t total)>;

    // On a device that reads host memory, tensors stay in the mapped files where type and alignment allow it, and are
    // copied otherwise. Throws Error (out_of_memory, cancelled, file).
    PlacedWeights(const WeightBinder & binder, ggml_backend_t backend, const Progress & progress,
                  const Cancellation & cancellation);

    bool is_mapped(Tensor tensor) const { return mapped_.count(tensor) > 0; }
    int64_t mapped_bytes() const { return mapped_bytes_; }
    int64_t allocated_bytes() const { return allocated_bytes_; }

private:
    struct FreeBuffer {
        void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
    };
    using Buffer = std::unique_ptr<ggml_backend_buffer, FreeBuffer>;

    std::vector<Buffer> buffers_;
    std::unordered_set<Tensor> mapped_;
    int64_t mapped_bytes_ = 0;
    int64_t allocated_bytes_ = 0;
};

} // namespace diffusion
