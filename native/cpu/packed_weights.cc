// See packed_weights.h.
#include "cpu/packed_weights.h"

#include <algorithm>
#include <thread>

namespace diffusion {

namespace {

constexpr size_t cache_line = 64;

} // namespace

PackedMatrix::PackedMatrix(const Kernels & kernels, Tensor weight, WeightForm form, bool kept,
                           std::shared_ptr<const RowDelta> delta)
    : kernels_(kernels), weight_(weight), delta_(std::move(delta)), form_(form), kept_(kept) {
    const bool convolution = form == WeightForm::convolution || form == WeightForm::winograd;
    const bool gated = form == WeightForm::gated_matrix;
    in_ = convolution ? weight->ne[2] : weight->ne[0];
    taps_ = convolution ? weight->ne[0] * weight->ne[1] : 1;
    columns_ = convolution ? weight->ne[3] : weight->ne[1];
    padded_in_ = GGML_PAD(in_, kernels.depth);
    panel_columns_ = gated ? kernels.panel / 2 : kernels.panel;
    panels_ = (columns_ / (gated ? 2 : 1) + panel_columns_ - 1) / panel_columns_;
    const int64_t packed_taps = form == WeightForm::winograd ? 16 : taps_;
    panel_bytes_ = GGML_PAD(kernels.panel_size(kernels.panel, padded_in_ * packed_taps), cache_line);
    if (!kept) return;
    memory_ = LargeMemory(bytes());
    states_ = std::make_unique<std::atomic<uint8_t>[]>(panels_);
}

size_t PackedMatrix::scratch_bytes() const {
    const size_t merged = delta_ ? (kernels_.panel * length() + delta_->scratch()) * sizeof(float) : 0;
    return kernels_.pack_scratch(length()) + merged + (kept_ ? 0 : panel_bytes_ + cache_line);
}

const void * PackedMatrix::panel(int64_t i, void * scratch) {
    if (!kept_) {
        pack(i, scratch, static_cast<char *>(scratch) + panel_bytes_);
        return scratch;
    }
    char * const panel = memory_.data() + i * panel_bytes_;
    std::atomic<uint8_t> & state = states_[i];
    uint8_t expected = empty;
    if (state.load(std::memory_order_acquire) == ready) return panel;
    if (state.compare_exchange_strong(expected, busy)) {
        pack(i, panel, scratch);
        state.store(ready, std::memory_order_release);
        if (n_ready_.fetch_add(1) + 1 == panels_ && on_packed) on_packed(weight_);
        return panel;
    }
    while (state.load(std::memory_order_acquire) != ready) std::this_thread::yield();
    return panel;
}

void PackedMatrix::pack(int64_t i, void * panel, void * scratch) const {
    PanelSource source;
    source.type = weight_->type;
    source.in = in_;
    source.taps = taps_;
    source.stride = ggml_row_size(weight_->type, length());
    const auto * base = static_cast<const uint8_t *>(weight_->data);
    const bool gated = form_ == WeightForm::gated_matrix;
    const int64_t all = gated ? columns_ / 2 : columns_, row = i * panel_columns_;
    source.columns = std::min(panel_columns_, all - row);
    source.first = base + row * source.stride;
    if (gated) source.second = source.first + all * source.stride;
    if (delta_) merge(source, row, all + row, scratch);
    (form_ == WeightForm::winograd ? kernels_.winograd_pack : kernels_.pack)(source, panel, scratch);
}

void PackedMatrix::merge(PanelSource & source, int64_t row, int64_t gate, void * scratch) const {
    auto * rows = reinterpret_cast<float *>(static_cast<char *>(scratch) + kernels_.pack_scratch(length()));
    float * gates = rows + source.columns * length();
    float * rest = rows + kernels_.panel * length();
    for (int64_t c = 0; c < source.columns; c++) {
        const size_t offset = c * source.stride;
        read_row(source.type, source.first + offset, length(), delta_.get(), row + c, rows + c * length(), rest);
        if (!source.second) continue;
        read_row(source.type, source.second + offset, length(), delta_.get(), gate + c, gates + c * length(), rest);
    }
    source.type = GGML_TYPE_F32;
    source.stride = length() * sizeof(float);
    source.first = reinterpret_cast<const uint8_t *>(rows);
    if (source.second) source.second = reinterpret_cast<const uint8_t *>(gates);
}

PackedMatrix & PackedWeights::matrix(Tensor weight, WeightForm form) {
    const auto found = matrices_.find({weight, form});
    if (found != matrices_.end()) return *found->second;
    const auto delta = deltas_.find(weight);
    const bool merged = delta != deltas_.end();
    const size_t packed = ggml_nelements(weight) * kernels_.operand_size;
    // Transforming a panel each time would cost more than the way saves.
    const bool kept = merged || keep_all || form == WeightForm::winograd || packed <= ggml_nbytes(weight);
    auto matrix = std::make_unique<PackedMatrix>(kernels_, weight, form, kept, merged ? delta->second : nullptr);
    matrix->on_packed = on_packed;
    return *matrices_.emplace(std::pair(weight, form), std::move(matrix)).first->second;
}

void PackedWeights::set_deltas(Deltas deltas) noexcept {
    std::erase_if(matrices_, [&](const auto & entry) {
        const Tensor weight = entry.first.first;
        return deltas_.contains(weight) || deltas.contains(weight);
    });
    deltas_.swap(deltas);
}

void PackedWeights::forget(Tensor weight) noexcept {
    std::erase_if(matrices_, [&](const auto & entry) { return entry.first.first == weight; });
}

size_t PackedWeights::pending_bytes() const {
    size_t bytes = 0;
    for (const auto & [key, matrix] : matrices_) bytes += matrix->pending_bytes();
    return bytes;
}

} // namespace diffusion
