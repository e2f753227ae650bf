// The tensors that a network needs, checked against those of the files.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "graph/layers.h"
#include "io/tensor_table.h"

namespace diffusion {

// Collects the tensors of a network. Missing tensors and wrong shapes are noted rather than thrown, so that all of them
// can be reported at once; the network is usable only if `missing()` and `mismatched()` are empty.
class WeightBinder {
public:
    // Computes a tensor's numbers from those in the file.
    using Transform = std::function<std::vector<float>(const std::vector<float> &)>;
    using Shape = std::initializer_list<int64_t>;

    struct Binding {
        Tensor tensor;
        const StoredTensor * stored;
        Transform transform;   // nullptr: unchanged, except for conversion to the tensor's type
        bool for_gemm = false; // the matrix or convolution weight of a layer, which the CPU's kernels pack
    };

    // `table` must outlive the binder.
    explicit WeightBinder(const TensorTable & table);
    ~WeightBinder();
    WeightBinder(const WeightBinder &) = delete;
    WeightBinder & operator=(const WeightBinder &) = delete;

    const TensorTable & table() const { return table_; }
    // Dimension `i` of a stored tensor in ggml's order; 0 if the tensor is missing. Throws Error (model_unsupported) if
    // it is larger than any network has.
    int64_t size(const std::string & name, int i) const;
    bool has(const std::string & name) const { return table_.find(name) != nullptr; }
    // Input channels of a linear layer, stored as a matrix or as a 1x1 convolution; 0 if the tensor is missing.
    int64_t inputs(const std::string & name) const;
    // Output channels of a convolution; taken from the bias if the weight is missing.
    int64_t conv_channels(const std::string & prefix) const;
    // Every i with a tensor `<prefix><i>.*`, in ascending order.
    std::vector<int64_t> indices(const std::string & prefix) const;
    // One more than the largest of them; 0 if there are none.
    int64_t count(const std::string & prefix) const;

    // The matrix or convolution weight of a layer, in the file's type if a ggml tensor can have it (unlike 8-bit
    // floats, blocks across rows, ...), otherwise in f16 or f32. Dimensions of size 1 are ignored, so that a 1x1
    // convolution may be stored as a matrix and vice versa.
    Tensor weight(const std::string & name, Shape ne);
    // The same for an embedding table.
    Tensor lookup(const std::string & name, Shape ne);
    // A small tensor for element-wise operations, converted to f32.
    Tensor parameter(const std::string & name, Shape ne);
    // A tensor of shape `ne`, in f32, computed once from the stored one of shape `stored_ne`.
    Tensor transformed(const std::string & name, Shape stored_ne, Shape ne, Transform transform);

    Linear linear(const std::string & prefix, int64_t in, int64_t out, bool bias = true);
    Conv2d conv(const std::string & prefix, int64_t in, int64_t out, int64_t kernel, bool bias = true);
    Norm norm(const std::string & prefix, int64_t channels);

    // Marks the tensors with this prefix as known, though the network does not need them.
    void tolerate(const std::string & prefix);

    // In the order in which they were bound.
    using Bindings = std::span<const Binding>;
    Bindings bindings() const { return bindings_; }
    const std::vector<std::string> & missing() const { return missing_; }
    const std::vector<std::string> & mismatched() const { return mismatched_; }
    bool uses(const std::string & name) const { return used_.count(name) > 0; }

private:
    Tensor bind(const std::string & name, Shape stored_ne, Shape ne, bool to_f32, Transform transform = nullptr);

    const TensorTable & table_;
    ggml_context * context_ = nullptr;
    std::vector<Binding> bindings_;
    std::vector<std::string> missing_;
    std::vector<std::string> mismatched_;
    std::unordered_set<std::string> used_;
};

// Output channels of a matrix [in, out] or a convolution weight [width, height, in, out].
inline int64_t weight_rows(Tensor weight) {
    return weight->ne[2] * weight->ne[3] > 1 ? weight->ne[3] : weight->ne[1];
}

} // namespace diffusion
