// See packed_weights.h.
#include "cpu/packed_weights.h"

#include <algorithm>
#include <thread>

#include "io/read_numbers.h"

namespace diffusion {

namespace {

constexpr size_t cache_line = 64;

} // namespace

PackedMatrix::PackedMatrix(const Kernels & kernels, Tensor weight, WeightForm form, Panels where,
                           const LargeMemory & shared, const StoredTensor * stored,
                           std::shared_ptr<const RowDelta> delta)
    : kernels_(kernels), weight_(weight), stored_(stored), delta_(std::move(delta)), form_(form), where_(where),
      shared_(shared) {
    const bool as_stored = !stored || (stored->is_plain() && !stored->source);
    decode_ = as_stored ? kernels.decoder(stored ? stored->type->ggml : weight->type) : nullptr;
    const bool convolution = form == WeightForm::convolution || form == WeightForm::winograd;
    const bool gated = form == WeightForm::gated_matrix;
    in_ = convolution ? weight->ne[2] : weight->ne[0];
    taps_ = convolution ? weight->ne[0] * weight->ne[1] : 1;
    columns_ = convolution ? weight->ne[3] : weight->ne[1];
    padded_in_ = GGML_PAD(in_, kernels.kr);
    panel_columns_ = gated ? kernels.nr / 2 : kernels.nr;
    panels_ = (columns_ / (gated ? 2 : 1) + panel_columns_ - 1) / panel_columns_;
    const int64_t packed_taps = form == WeightForm::winograd ? 16 : taps_;
    panel_bytes_ = GGML_PAD(kernels.panel_size(kernels.nr, padded_in_ * packed_taps), cache_line);
    if (where == Panels::scratch) return;
    if (where == Panels::kept) memory_ = LargeMemory(bytes());
    states_ = std::make_unique<std::atomic<uint8_t>[]>(panels_);
}

size_t PackedMatrix::scratch_bytes() const {
    const size_t rows = is_direct() ? 0 : (kernels_.nr * length() + (delta_ ? delta_->scratch() : 0)) * sizeof(float);
    return kernels_.pack_scratch(in_, taps_) + rows + (is_shared() ? 0 : panel_bytes_ + cache_line);
}

const void * PackedMatrix::panel(int64_t i, void * scratch) {
    if (!is_shared()) {
        pack(i, scratch, static_cast<char *>(scratch) + panel_bytes_);
        return scratch;
    }
    char * const panel = (where_ == Panels::kept ? memory_ : shared_).data() + i * panel_bytes_;
    std::atomic<uint8_t> & state = states_[i];
    uint8_t expected = empty;
    if (state.load(std::memory_order_acquire) == ready) return panel;
    if (state.compare_exchange_strong(expected, busy)) {
        pack(i, panel, scratch);
        state.store(ready, std::memory_order_release);
        if (n_ready_.fetch_add(1) + 1 == panels_ && where_ == Panels::kept && on_packed) on_packed(weight_);
        return panel;
    }
    while (state.load(std::memory_order_acquire) != ready) std::this_thread::yield();
    return panel;
}

void PackedMatrix::finish() {
    if (where_ == Panels::transient) {
        for (int64_t i = 0; i < panels_; i++) states_[i].store(empty, std::memory_order_relaxed);
        n_ready_ = 0;
    }
    if (streamed && on_packed) on_packed(weight_);
}

void PackedMatrix::pack(int64_t i, void * panel, void * scratch) const {
    PanelSource source;
    source.in = in_;
    source.taps = taps_;
    const bool gated = form_ == WeightForm::gated_matrix;
    const int64_t all = gated ? columns_ / 2 : columns_, row = i * panel_columns_;
    source.columns = std::min(panel_columns_, all - row);
    if (is_direct()) {
        source.decode = decode_;
        source.data = data();
        source.first = row;
        if (gated) source.second = all + row;
    } else {
        read_rows(source, row, all + row, scratch);
    }
    (form_ == WeightForm::winograd ? kernels_.winograd_pack : kernels_.pack)(source, panel, scratch);
}

void PackedMatrix::read_some_rows(int64_t row, int64_t rows, float * values, float * scratch) const {
    const int64_t first = row * length(), n = rows * length();
    if (decode_) {
        decode_(data(), first, n, values);
    } else if (stored_) {
        read_numbers(*stored_, first, n, values);
    } else {
        const NumberType & type = number_type(weight_->type);
        type.widen(data() + first / type.block * type.block_bytes, values, n);
    }
    if (delta_) delta_->add(kernels_.add_product, row, rows, values, scratch);
}

void PackedMatrix::read_rows(PanelSource & source, int64_t row, int64_t gate, void * scratch) const {
    const bool gated = form_ == WeightForm::gated_matrix;
    auto * rows = reinterpret_cast<float *>(static_cast<char *>(scratch) + kernels_.pack_scratch(in_, taps_));
    float * gates = rows + source.columns * length();
    float * rest = rows + kernels_.nr * length();
    read_some_rows(row, source.columns, rows, rest);
    if (gated) read_some_rows(gate, source.columns, gates, rest);
    source.decode = kernels_.decoder(GGML_TYPE_F32);
    source.data = reinterpret_cast<const uint8_t *>(rows);
    if (gated) source.second = source.columns;
}

PackedMatrix & PackedWeights::matrix(Tensor weight, WeightForm form) {
    const auto found = matrices_.find({weight, form});
    if (found != matrices_.end()) return *found->second;
    const auto delta = deltas_.find(weight);
    const auto stored = stored_.find(weight);
    // Transforming a panel at every use would cost more than the algorithm saves.
    const bool kept = form == WeightForm::winograd || keeps(weight, unpacked_bytes(weight));
    const Panels where = !kept ? Panels::scratch : streaming_ ? Panels::transient : Panels::kept;
    auto matrix = std::make_unique<PackedMatrix>(kernels_, weight, form, where, shared_,
                                                 stored == stored_.end() ? nullptr : stored->second,
                                                 delta == deltas_.end() ? nullptr : delta->second);
    if (where == Panels::transient && matrix->bytes() > shared_bytes_) {
        shared_ = LargeMemory(matrix->bytes());
        shared_bytes_ = matrix->bytes();
    }
    matrix->on_packed = on_packed;
    matrix->streamed = streaming_;
    return *matrices_.emplace(std::pair(weight, form), std::move(matrix)).first->second;
}

void PackedWeights::set_deltas(Deltas deltas) noexcept {
    std::erase_if(matrices_, [&](const auto & entry) {
        const auto before = deltas_.find(entry.first.first), after = deltas.find(entry.first.first);
        return (before == deltas_.end() ? nullptr : before->second) !=
               (after == deltas.end() ? nullptr : after->second);
    });
    deltas_.swap(deltas);
}

void PackedWeights::forget(Tensor weight) noexcept {
    const auto [first, end] = forms_of(weight);
    matrices_.erase(first, end);
    stored_.erase(weight);
}

size_t PackedWeights::packed_bytes(Tensor weight) const {
    size_t bytes = 0;
    for (auto [form, end] = forms_of(weight); form != end; ++form) {
        bytes += form->second->where() == Panels::kept ? form->second->bytes() : 0;
    }
    return bytes;
}

PackedWeights::SharedPanels PackedWeights::shared_panels(Tensor weight) const {
    SharedPanels panels;
    for (auto [form, end] = forms_of(weight); form != end; ++form) {
        if (!form->second->is_shared()) continue;
        panels.all += form->second->bytes();
        panels.largest = std::max(panels.largest, form->second->bytes());
    }
    return panels;
}

// All packed forms of a weight.
std::pair<PackedWeights::Matrices::const_iterator, PackedWeights::Matrices::const_iterator>
PackedWeights::forms_of(Tensor weight) const {
    return {matrices_.lower_bound({weight, WeightForm::matrix}), matrices_.upper_bound({weight, WeightForm::winograd})};
}

void PackedWeights::set_streaming(bool streaming) noexcept {
    matrices_.clear();
    shared_ = LargeMemory();
    shared_bytes_ = 0;
    streaming_ = streaming;
}

size_t PackedWeights::unpacked_bytes(Tensor weight) const {
    const auto stored = stored_.find(weight);
    return stored == stored_.end() ? ggml_nbytes(weight) : stored->second->n_bytes;
}

size_t PackedWeights::pending_bytes() const {
    size_t bytes = 0;
    for (const auto & [key, matrix] : matrices_) bytes += matrix->pending_bytes();
    return bytes;
}

} // namespace diffusion
