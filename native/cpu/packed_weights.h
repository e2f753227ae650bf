// Weights in the order in which the CPU's kernels read them.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "backend/memory.h"
#include "cpu/kernels.h"
#include "cpu/operation.h"
#include "cpu/row_delta.h"
#include "io/tensor_table.h"

namespace diffusion {

enum class WeightForm {
    matrix,       // [in, columns]
    gated_matrix, // [in, columns]: values, then as many gates
    convolution,  // [width, height, in, columns]
    winograd,     // [3, 3, in, columns], transformed to 16 taps; the last form
};

// Where packed panels are.
enum class Panels {
    kept,      // in memory of their own, packed at first use
    transient, // in memory that all weights share, packed once in each operation
    scratch,   // in scratch memory of threads, packed at every use
};

// One matrix or convolution weight, divided into panels of columns. If packed panels take no more memory than the
// unpacked form, they are kept; otherwise they are packed into scratch memory, so that a quantized model stays small.
// While weights are streamed, those that would be kept are transient, and results are the same. Types that no ggml
// tensor can have (8-bit floats, blocks across rows, ...) are read from the file row by row. A delta is added in f32
// while packing, so it is never quantized.
class PackedMatrix {
public:
    // `stored`: the rows are read from there; nullptr: from the tensor.
    // `shared`: memory of transient panels.
    PackedMatrix(const Kernels & kernels, Tensor weight, WeightForm form, Panels where, const LargeMemory & shared,
                 const StoredTensor * stored, std::shared_ptr<const RowDelta> delta);

    int64_t in() const { return in_; }
    int64_t taps() const { return taps_; }
    int64_t columns() const { return columns_; }
    int64_t padded_in() const { return padded_in_; } // numbers per tap in a row of the first factor
    int64_t panels() const { return panels_; }
    // Whether panels are packed once for all parts of an operation.
    bool is_shared() const { return where_ != Panels::scratch; }
    Panels where() const { return where_; }
    size_t bytes() const { return panel_bytes_ * panels_; } // of all packed panels
    size_t scratch_bytes() const;
    size_t pending_bytes() const { return where_ == Panels::kept ? bytes() - n_ready_ * panel_bytes_ : 0; }

    // Any thread. `scratch`: scratch_bytes() bytes.
    const void * panel(int64_t i, void * scratch);

    // After an operation that used it.
    void finish();

    // Called by the thread that packs the last panel of a kept matrix, and, while weights are streamed, after each
    // operation: the unpacked form is then no longer needed, or not soon.
    std::function<void(Tensor)> on_packed;
    bool streamed = false;

private:
    enum State : uint8_t { empty, busy, ready };
    void pack(int64_t i, void * panel, void * scratch) const;
    // Whether panels are packed directly from the weight's numbers, as they are in memory or in the file.
    bool is_direct() const { return decode_ && !delta_; }
    // Reads them as f32, with the delta.
    void read_some_rows(int64_t row, int64_t rows, float * values, float * scratch) const;
    // Reads the rows starting at `row` (and `gate`) into scratch memory as f32, and points `source` at them.
    void read_rows(PanelSource & source, int64_t row, int64_t gate, void * scratch) const;
    const uint8_t * data() const { return stored_ ? stored_->data : static_cast<const uint8_t *>(weight_->data); }
    int64_t length() const { return in_ * taps_; }

    const Kernels & kernels_;
    Tensor weight_;
    const StoredTensor * stored_;
    std::shared_ptr<const RowDelta> delta_;
    WeightForm form_;
    Panels where_;
    const LargeMemory & shared_;
    Decode decode_; // nullptr if the kernels do not decode them
    int64_t in_, taps_, columns_, padded_in_, panels_;
    int64_t panel_columns_; // of a gated panel: in each half
    size_t panel_bytes_;
    LargeMemory memory_;
    std::unique_ptr<std::atomic<uint8_t>[]> states_;
    std::atomic<int64_t> n_ready_ = 0;
};

// The packed matrices of a model.
class PackedWeights {
public:
    explicit PackedWeights(const Kernels & kernels) : kernels_(kernels) {}

    PackedMatrix & matrix(Tensor weight, WeightForm form);

    // `weight` has no memory; its numbers are read from `stored`, which must stay valid until forget().
    void set_stored(Tensor weight, const StoredTensor & stored) { stored_[weight] = &stored; }
    using Deltas = std::map<Tensor, std::shared_ptr<const RowDelta>>;
    // Replaces all deltas. Frees the packed panels of weights whose delta changes; graphs that use them must have been
    // freed.
    void set_deltas(Deltas deltas) noexcept;
    const Deltas & deltas() const { return deltas_; }
    // Frees the packed panels of a weight that is about to be freed.
    void forget(Tensor weight) noexcept;

    // Whether the panels of a weight that takes `unpacked` bytes are kept: they take no more, or all are kept.
    bool keeps(Tensor weight, size_t unpacked) const {
        return keep_all || ggml_nelements(weight) * kernels_.operand_size <= unpacked;
    }

    // The size of a weight in the file or, if it was copied, in memory.
    size_t unpacked_bytes(Tensor weight) const;

    // Bytes of a weight's kept panels, once all are packed.
    size_t packed_bytes(Tensor weight) const;

    // Bytes of a weight's panels that are not in scratch memory: of all forms, and of the largest.
    struct SharedPanels {
        size_t all = 0, largest = 0;
    };
    SharedPanels shared_panels(Tensor weight) const;

    // Bytes of panels that are still to be packed and kept.
    size_t pending_bytes() const;

    std::function<void(Tensor)> on_packed; // see PackedMatrix
    bool keep_all = false;                 // keep panels even if they take more memory than the unpacked form

    // While weights are streamed, no panels are kept. Frees all packed panels; graphs that use them must have been freed.
    void set_streaming(bool streaming) noexcept;
    // Bytes of the memory of transient panels.
    size_t shared_bytes() const { return shared_bytes_; }

private:
    using Matrices = std::map<std::pair<Tensor, WeightForm>, std::unique_ptr<PackedMatrix>>;
    std::pair<Matrices::const_iterator, Matrices::const_iterator> forms_of(Tensor weight) const;

    const Kernels & kernels_;
    Matrices matrices_;
    std::map<Tensor, const StoredTensor *> stored_;
    Deltas deltas_;
    bool streaming_ = false;
    LargeMemory shared_;
    size_t shared_bytes_ = 0;
};

} // namespace diffusion
