// The tensors that a network asks for, checked against the files.
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

// Collects what a network needs. A tensor that is missing or misshapen is noted, not thrown, so that all of them can be
// reported at once; the network is usable only if `missing()` and `mismatched()` are empty.
class WeightBinder {
public:
    // Numbers that take the place of those of a file.
    using Transform = std::function<std::vector<float>(const std::vector<float> &)>;
    using Shape = std::initializer_list<int64_t>;

    struct Binding {
        Tensor tensor;
        const StoredTensor * stored;
        Transform transform;   // nullptr: as they are, or converted to the tensor's type
        bool for_gemm = false; // the matrix or kernel of a layer, which the CPU's kernels pack
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
    // What a linear layer takes: the columns of a matrix, or the planes of a 1x1 kernel; 0 where the tensor is missing.
    int64_t inputs(const std::string & name) const;
    // The channels that a convolution gives; its bias tells where the kernel is missing.
    int64_t conv_channels(const std::string & prefix) const;
    // Every i of a tensor `<prefix><i>.*`, in order.
    std::vector<int64_t> indices(const std::string & prefix) const;
    // One more than the largest of them; 0 where there is none.
    int64_t count(const std::string & prefix) const;

    // The matrix or kernel of a layer in the type that the file has; where a tensor cannot have that (8-bit floats,
    // blocks across rows, ...), in f16 or f32. Dimensions of size 1 may stand anywhere, so that a 1x1 convolution may
    // be stored as a matrix and the other way round.
    Tensor weight(const std::string & name, Shape ne);
    // The same of vectors that are looked up.
    Tensor lookup(const std::string & name, Shape ne);
    // A small tensor that element-wise operations take: converted to f32.
    Tensor parameter(const std::string & name, Shape ne);
    // A tensor of shape `ne` that is computed in f32, once, from the one of shape `stored_ne`.
    Tensor transformed(const std::string & name, Shape stored_ne, Shape ne, Transform transform);

    Linear linear(const std::string & prefix, int64_t in, int64_t out, bool bias = true);
    Conv2d conv(const std::string & prefix, int64_t in, int64_t out, int64_t kernel, bool bias = true);
    Norm norm(const std::string & prefix, int64_t channels);

    // In the order in which they were asked for.
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

// Outputs of a matrix [in, out] or a kernel [width, height, in, out].
inline int64_t weight_rows(Tensor weight) {
    return weight->ne[2] * weight->ne[3] > 1 ? weight->ne[3] : weight->ne[1];
}

} // namespace diffusion
