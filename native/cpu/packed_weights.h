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
    winograd,     // the same of 3x3 taps, transformed to 16; the last form
};

// One matrix or convolution, cut into panels of columns. Where that takes no more memory than the file's own form, a
// panel is packed when it is first asked for and kept; otherwise it is packed into scratch memory each time, so that a
// quantized model stays as small as it is. So are numbers that no tensor can hold as the file has them (8-bit floats,
// blocks across rows, ...): they are read from the file row by row. A delta is added as panels are packed; a matrix
// that has one is always kept, because adding it each time would take long.
class PackedMatrix {
public:
    // `stored` where the rows are those in the file, nullptr where they are the tensor's.
    PackedMatrix(const Kernels & kernels, Tensor weight, WeightForm form, bool kept, const StoredTensor * stored,
                 std::shared_ptr<const RowDelta> delta);

    int64_t in() const { return in_; }
    int64_t taps() const { return taps_; }
    int64_t columns() const { return columns_; }
    int64_t padded_in() const { return padded_in_; } // numbers that a row of the other factor holds for each tap
    int64_t panels() const { return panels_; }
    bool kept() const { return kept_; }
    size_t bytes() const { return panel_bytes_ * panels_; } // packed
    size_t scratch_bytes() const;
    size_t pending_bytes() const { return kept_ ? bytes() - n_ready_ * panel_bytes_ : 0; }

    // Any thread. `scratch` of scratch_bytes().
    const void * panel(int64_t i, void * scratch);

    // Called by the thread that packed the last panel of those kept: the file's own form is read again only to pack
    // another.
    std::function<void(Tensor)> on_packed;

private:
    enum State : uint8_t { empty, busy, ready };
    void pack(int64_t i, void * panel, void * scratch) const;
    // The rows of a panel can be packed from where the tensor has them.
    bool is_placed() const { return !stored_ && !delta_; }
    void read_row(int64_t row, float * values, float * scratch) const;
    // Points `source` at the rows that begin with `row` (and `gate`), in f32, in scratch memory.
    void read_rows(PanelSource & source, int64_t row, int64_t gate, void * scratch) const;
    int64_t length() const { return in_ * taps_; }

    const Kernels & kernels_;
    Tensor weight_;
    const StoredTensor * stored_;
    std::shared_ptr<const RowDelta> delta_;
    WeightForm form_;
    bool kept_;
    int64_t in_, taps_, columns_, padded_in_, panels_;
    int64_t panel_columns_; // in both halves of a gated panel each
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

    // The numbers of `weight`, which has no memory, are those of `stored`, which must stay where it is until forget().
    void set_stored(Tensor weight, const StoredTensor & stored) { stored_[weight] = &stored; }
    using Deltas = std::map<Tensor, std::shared_ptr<const RowDelta>>;
    // What is added to weights from now on, in place of all that was. Frees what is packed of those whose delta is
    // another one: graphs that refer to that must be gone.
    void set_deltas(Deltas deltas) noexcept;
    const Deltas & deltas() const { return deltas_; }
    // Frees what is packed of a weight that goes away.
    void forget(Tensor weight) noexcept;

    // In the file or, where the tensor was copied, in memory.
    size_t unpacked_bytes(Tensor weight) const;

    // Bytes that the panels of a weight take that are kept, once they are packed.
    size_t packed_bytes(Tensor weight) const;

    // Bytes that panels will take that are still to be packed.
    size_t pending_bytes() const;

    std::function<void(Tensor)> on_packed; // see PackedMatrix
    bool keep_all = false;                 // also where that takes more memory than the file's form

private:
    using Matrices = std::map<std::pair<Tensor, WeightForm>, std::unique_ptr<PackedMatrix>>;
    std::pair<Matrices::const_iterator, Matrices::const_iterator> forms_of(Tensor weight) const;

    const Kernels & kernels_;
    Matrices matrices_;
    std::map<Tensor, const StoredTensor *> stored_;
    Deltas deltas_;
};

} // namespace diffusion
