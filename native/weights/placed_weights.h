// The tensors of a network, placed on a device.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "ggml-backend.h"

#include "cancellation.h"
#include "cpu/row_delta.h"
#include "weights/changed_tensors.h"
#include "weights/weight_binder.h"

namespace diffusion {

class PackedWeights;

// Where weights are on a device that reads host memory.
enum class Placement {
    mapped, // in the mapped file if it is large and the device can read it, otherwise in memory
    copied, // in memory
};

// Bytes of weights read from mapped files, and of copies in device memory.
struct WeightBytes {
    int64_t mapped = 0, allocated = 0;
};

// The memory that placing the weights takes. `packs`: the CPU's kernels pack them.
WeightBytes measure_weights(const TensorTable & table, WeightBinder::Bindings bindings, ggml_backend_t backend,
                            bool packs, Placement placement);

// Gives bound tensors placeholder addresses, so that graphs that read them can be measured without loading weights.
class UnplacedWeights {
public:
    // Throws std::bad_alloc.
    UnplacedWeights(WeightBinder::Bindings bindings, ggml_backend_t backend, PackedWeights * packed);
    ~UnplacedWeights();
    UnplacedWeights(const UnplacedWeights &) = delete;
    UnplacedWeights & operator=(const UnplacedWeights &) = delete;

private:
    WeightBinder::Bindings bindings_;
    PackedWeights * packed_;
    ggml_backend_buffer_t buffer_;
};

// Device memory that holds bound tensors; the binder must outlive it.
class PlacedWeights {
public:
    using Progress = std::function<void(int64_t done, int64_t total)>;

    // `bindings`: some or all of the binder's. `packed`: packs matrices and convolution weights for the CPU's kernels;
    // nullptr if those are not used. `products`: see ChangedTensors. Throws Error (out_of_memory, cancelled, file).
    PlacedWeights(const TensorTable & table, WeightBinder::Bindings bindings, ggml_backend_t backend,
                  PackedWeights * packed, LowRankProducts * products, Placement placement, const Progress & progress,
                  const Cancellation & cancellation);
    ~PlacedWeights();
    PlacedWeights(const PlacedWeights &) = delete;
    PlacedWeights & operator=(const PlacedWeights &) = delete;

    // Throws Error (file) if a mapped file that weights are read from has changed. Call it before and after an
    // evaluation; if it throws, the result is invalid.
    void check_unchanged() const;

    using Deltas = std::map<const WeightBinder::Binding *, std::shared_ptr<const RowDelta>>;
    // A new set of deltas, ready to replace the current one without allocating memory.
    struct Change {
        Deltas deltas;
        std::set<const WeightBinder::Binding *> stale; // the tensors to write then
    };
    // `deltas` replace all current ones.
    Change change_to(Deltas deltas) const;
    // Takes effect with the next update(). Graphs that read the tensors must have been freed.
    void apply(Change change) noexcept;
    // Writes the tensors whose delta has changed; must precede an evaluation that reads them. If it throws (Error:
    // cancelled, out_of_memory, file), the next call continues.
    void update(const Cancellation & cancellation);

    // The stored tensor that is read in place; nullptr if it was copied.
    const StoredTensor * in_file(Tensor tensor) const;
    // Of all copies, including what deltas take.
    int64_t allocated_bytes() const;

private:
    struct FreeBuffer {
        void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
    };
    using Buffer = std::unique_ptr<ggml_backend_buffer, FreeBuffer>;
    struct Plan;
    friend WeightBytes measure_weights(const TensorTable &, WeightBinder::Bindings, ggml_backend_t, bool, Placement);

    void place(Placement placement, const Progress & progress, const Cancellation & cancellation);
    std::map<int, ggml_backend_buffer_t> map_files(const Plan & plan);
    ggml_backend_buffer_t allocate(const Plan & plan);

    const TensorTable & table_;
    WeightBinder::Bindings bindings_;
    ggml_backend_t backend_;
    std::vector<Buffer> buffers_;
    size_t copied_bytes_ = 0;
    PackedWeights * packed_;
    std::vector<const MappedFile *> in_use_; // files that tensors are read from
    std::unordered_map<Tensor, const StoredTensor *> in_file_;
    std::map<Tensor, StoredTensor> raw_; // read by read_numbers(), from the file or a copy in memory
    std::unique_ptr<ChangedTensors> changed_;
    Deltas deltas_;
    std::set<const WeightBinder::Binding *> stale_;
};

} // namespace diffusion
