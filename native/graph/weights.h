// The tensors that a network asks for: checked against the files first, then placed on a device.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ggml-backend.h"

#include "cancellation.h"
#include "cpu/row_delta.h"
#include "graph/layers.h"
#include "io/tensor_table.h"

namespace diffusion {

class PackedWeights;

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
        Transform transform;  // nullptr: as they are, or converted to the tensor's type
        bool product = false; // the matrix or kernel of a layer, which the CPU's kernels pack
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

    // The matrix or kernel of a layer in the type that the file has; where a tensor cannot have that (8-bit floats, blocks across rows,
    // ...), in f16 or f32. Dimensions of size 1 may stand anywhere, so that a 1x1 convolution may be stored as a matrix and the
    // other way round.
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

    const std::vector<Binding> & bindings() const { return bindings_; }
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

// Where weights are on a device that reads host memory.
enum class Placement {
    mapped, // in their file, where that is large and the device can read them there; otherwise in memory
    copied, // in memory
};

// Device memory that holds bound tensors; the binder must stay alive while it is used.
class PlacedWeights {
public:
    using Progress = std::function<void(int64_t done, int64_t total)>;

    // `packed`: what packs the matrices and kernels where the CPU's kernels do; else nullptr. Throws Error (out_of_memory, cancelled,
    // file).
    PlacedWeights(const WeightBinder & binder, ggml_backend_t backend, PackedWeights * packed, Placement placement,
                  const Progress & progress, const Cancellation & cancellation);
    ~PlacedWeights();
    PlacedWeights(const PlacedWeights &) = delete;
    PlacedWeights & operator=(const PlacedWeights &) = delete;

    // Throws Error (file) where a file that weights are read from in their place has changed. To be asked before an evaluation and
    // after it, whose result counts for nothing then.
    void check_unchanged() const;

    using Deltas = std::map<const WeightBinder::Binding *, std::shared_ptr<const RowDelta>>;
    // Other deltas than those in force, ready to be put in their place.
    struct Change {
        Deltas deltas;
        std::set<const WeightBinder::Binding *> stale; // what is to be written then
    };
    // What is added to tensors, in place of all that was. Their types must be those of can_merge().
    Change change_to(Deltas deltas) const;
    // Puts it in force from the next update() on. The graphs that read the tensors must be gone.
    void apply(Change change) noexcept;
    // Writes the tensors whose delta has changed; comes before an evaluation that reads them. Where it throws (Error: cancelled,
    // out_of_memory, file), the next call goes on.
    void update(const Cancellation & cancellation);

    // Numbers can be written in that type without data to calibrate it by.
    static bool can_merge(ggml_type type);

    // Where the numbers of a tensor lie that was not copied; nullptr for others.
    const StoredTensor * in_file(Tensor tensor) const;
    int64_t mapped_bytes() const { return mapped_bytes_; }
    int64_t allocated_bytes() const { return allocated_bytes_; }

private:
    struct FreeBuffer {
        void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
    };
    using Buffer = std::unique_ptr<ggml_backend_buffer, FreeBuffer>;

    struct Plan;

    std::map<int, ggml_backend_buffer_t> map_files(const Plan & plan);
    ggml_backend_buffer_t allocate(const Plan & plan);
    void write_merged(const WeightBinder::Binding & binding, const RowDelta & delta, const Cancellation &) const;
    void forget_packed() noexcept;
    void place_merged(Tensor tensor);

    const WeightBinder & binder_;
    ggml_backend_t backend_;
    std::vector<Buffer> buffers_;
    PackedWeights * packed_;
    std::vector<const MappedFile *> in_use_; // those that numbers are read from
    std::unordered_map<Tensor, const StoredTensor *> in_file_;
    std::map<Tensor, StoredTensor> raw_; // what is read by read_numbers(), in the file or in memory
    std::unordered_map<Tensor, ggml_backend_buffer_t> mapped_; // tensors that lie in their file
    std::unordered_map<Tensor, Buffer> own_;                   // memory of such a tensor while it has a delta
    Deltas deltas_;
    std::set<const WeightBinder::Binding *> stale_;
    int64_t mapped_bytes_ = 0;
    int64_t allocated_bytes_ = 0;
};

} // namespace diffusion
