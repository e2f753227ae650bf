// The tensors that a network asked for, placed on a device.
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
#include "weights/weight_binder.h"

namespace diffusion {

class PackedWeights;

// Where weights are on a device that reads host memory.
enum class Placement {
    mapped, // in their file, where that is large and the device can read them there; otherwise in memory
    copied, // in memory
};

// Bytes of weights that are read from their files, and of copies in device memory.
struct WeightBytes {
    int64_t mapped = 0, allocated = 0;
};

// What placing them takes. `packs`: the CPU's kernels do that.
WeightBytes measure_weights(const TensorTable & table, WeightBinder::Bindings bindings, ggml_backend_t backend,
                            bool packs, Placement placement);

// Stands in for bound tensors that have no place, so that graphs that read them can be measured.
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

// Device memory that holds bound tensors; the binder must stay alive while it is used.
class PlacedWeights {
public:
    using Progress = std::function<void(int64_t done, int64_t total)>;

    // `bindings`: some or all of the binder's. `packed`: what packs the matrices and kernels where the CPU's kernels
    // do; else nullptr. Throws Error (out_of_memory, cancelled, file).
    PlacedWeights(const TensorTable & table, WeightBinder::Bindings bindings, ggml_backend_t backend,
                  PackedWeights * packed, Placement placement, const Progress & progress,
                  const Cancellation & cancellation);
    ~PlacedWeights();
    PlacedWeights(const PlacedWeights &) = delete;
    PlacedWeights & operator=(const PlacedWeights &) = delete;

    // Throws Error (file) where a file that weights are read from in their place has changed. To be asked before an
    // evaluation and after it, whose result counts for nothing then.
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
    // Writes the tensors whose delta has changed; comes before an evaluation that reads them. Where it throws (Error:
    // cancelled, out_of_memory, file), the next call goes on.
    void update(const Cancellation & cancellation);

    // Numbers can be written in that type without data to calibrate it by.
    static bool can_merge(ggml_type type);

    // Where the numbers of a tensor lie that was not copied; nullptr for others.
    const StoredTensor * in_file(Tensor tensor) const;
    // All copies, also those of tensors with a delta.
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
    void write_merged(const WeightBinder::Binding & binding, const RowDelta & delta, const Cancellation &) const;
    void place_merged(Tensor tensor);

    const TensorTable & table_;
    WeightBinder::Bindings bindings_;
    ggml_backend_t backend_;
    std::vector<Buffer> buffers_;
    size_t copied_bytes_ = 0;
    PackedWeights * packed_;
    std::vector<const MappedFile *> in_use_; // those that numbers are read from
    std::unordered_map<Tensor, const StoredTensor *> in_file_;
    std::map<Tensor, StoredTensor> raw_; // what is read by read_numbers(), in the file or in memory
    std::unordered_map<Tensor, ggml_backend_buffer_t> mapped_; // tensors that lie in their file
    std::unordered_map<Tensor, Buffer> own_;                   // memory of such a tensor while it has a delta
    Deltas deltas_;
    std::set<const WeightBinder::Binding *> stale_;
};

} // namespace diffusion
