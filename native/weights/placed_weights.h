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

class Device;
class PackedWeights;
class StreamedWeights;
class TensorConverter;

// Where weights are on a device that reads host memory.
enum class Placement {
    mapped, // in the mapped file if it is large and the device can read it, otherwise in memory
    copied, // in memory
};

// Where weights are placed.
struct WeightTarget {
    ggml_backend_t backend;
    PackedWeights * packed = nullptr; // packs the weights of layers for the CPU's kernels; nullptr: they are not used
    LowRankProducts * products = nullptr; // see ChangedTensors
    int threads = 1;                      // that convert tensors
    StreamedWeights * streamed = nullptr; // weights of layers stay in main memory; nullptr: they do not
    ggml_backend_t host = nullptr;        // of main memory, for those
};
// `stream`: whether weights are streamed, where the device has memory of its own.
WeightTarget target_of(Device & device, bool stream);

// Bytes of weights read from mapped files, of copies in main memory from which a device streams them, and of copies in
// device memory.
struct WeightBytes {
    int64_t mapped = 0, streamed = 0, allocated = 0;
};

// The memory that placing the weights takes.
WeightBytes measure_weights(const TensorTable & table, WeightBinder::Bindings bindings, const WeightTarget & target,
                            Placement placement);

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
    ggml_backend_t backend_;
    PackedWeights * packed_;
    ggml_backend_buffer_t buffer_;
};

// Device memory that holds bound tensors; the binder must outlive it.
class PlacedWeights {
public:
    using Progress = std::function<void(int64_t done, int64_t total)>;

    // `bindings`: some or all of the binder's. Converted tensors are converted here, one after the other; 16-bit ones
    // of large files, whose panels are kept anyway, when those are packed. Throws Error (out_of_memory, cancelled, file,
    // non_finite).
    PlacedWeights(const TensorTable & table, WeightBinder::Bindings bindings, const WeightTarget & target,
                  Placement placement, const Progress & progress, const Cancellation & cancellation);
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
    friend WeightBytes measure_weights(const TensorTable &, WeightBinder::Bindings, const WeightTarget &, Placement);

    void place(Placement placement, const Progress & progress, const Cancellation & cancellation);
    void write(const WeightBinder::Binding & binding, TensorConverter & converter, const Cancellation & cancellation);
    std::map<int, ggml_backend_buffer_t> map_files(const Plan & plan);
    ggml_backend_buffer_t allocate(ggml_backend_t backend, ggml_backend_buffer_type_t type, size_t bytes);

    const TensorTable & table_;
    WeightBinder::Bindings bindings_;
    const WeightTarget target_;
    std::vector<Buffer> buffers_;
    size_t copied_bytes_ = 0;
    std::vector<const MappedFile *> in_use_; // files that tensors are read from
    std::unordered_map<Tensor, const StoredTensor *> in_file_;
    std::set<Tensor> streamed_;
    std::map<Tensor, StoredTensor> raw_; // read by read_numbers(), from the file or a copy in memory
    std::unique_ptr<ChangedTensors> changed_;
    Deltas deltas_;
    std::set<const WeightBinder::Binding *> stale_;
};

} // namespace diffusion
