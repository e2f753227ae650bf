// See tensor_converter.h.
#include "weights/tensor_converter.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include "backend/memory.h"
#include "io/file_error.h"
#include "io/read_numbers.h"

namespace diffusion {

namespace {

// Numbers that a thread converts at a time: a multiple of every block size, and some tens of milliseconds for the
// slowest type.
constexpr int64_t slice = 1 << 17;
constexpr int slices_per_thread = 2;

// The largest f16; the scales of quantized blocks are f16 too.
constexpr float largest_half = 65504;

bool is_as_stored(const StoredTensor & stored, const NumberType & type) {
    return !stored.strided && stored.scales.empty() && stored.type == &type;
}

float largest_of(const NumberType & type) {
    const bool wide = type.ggml == GGML_TYPE_F32 || type.ggml == GGML_TYPE_BF16 || type.ggml == GGML_TYPE_F64;
    return wide ? std::numeric_limits<float>::max() : largest_half;
}

} // namespace

// Neighbouring slices of one tensor.
class TensorConverter::Slices : public PoolJob {
public:
    Slices(const StoredTensor & tensor, const std::string & name, const NumberType & type, int64_t first,
           TensorConverter & converter)
        : stored_(tensor), name_(name), type_(type), first_(first),
          count_(std::min(stored_.n_elements() - first, slice * slices_per_thread * converter.threads_)),
          copied_(is_as_stored(stored_, type)), values_(converter.values_.data()),
          converted_(converter.converted_.data()) {}

    int64_t parts() const override { return (count_ + slice - 1) / slice; }

    void work(int64_t part, Parts & next, int) override {
        for (; part >= 0; part = next.take()) convert(part);
    }

    int64_t count() const { return count_; }
    size_t bytes() const { return bytes_of(count_); }

    void check_numbers() const {
        const int64_t wrong = wrong_.load();
        if (wrong == none) return;
        float value = 0;
        read_numbers(stored_, wrong, 1, &value);
        std::ostringstream text;
        text << value;
        const std::string where = quote(name_) + " has " + text.str() + " at index " + std::to_string(wrong);
        if (!std::isfinite(value)) {
            throw Error(ErrorCode::non_finite,
                        "Expected finite weights, but " + where + ". The file is damaged; download it again.");
        }
        throw Error(ErrorCode::non_finite, "Expected weights within the range of " + std::string(type_.name) +
                                               ", but " + where +
                                               ". Keep this tensor in f32 or bf16 with a tensor type rule.");
    }

private:
    static constexpr int64_t none = std::numeric_limits<int64_t>::max();

    size_t bytes_of(int64_t numbers) const { return static_cast<size_t>(numbers / type_.block) * type_.block_bytes; }

    void convert(int64_t part) {
        const int64_t at = part * slice, n = std::min(slice, count_ - at);
        float * values = values_ + at;
        const bool floating = stored_.type->kind == NumberKind::floating;
        if (floating || !copied_) read_numbers(stored_, first_ + at, n, values);
        if (floating) check(values, first_ + at, n);
        uint8_t * to = converted_ + bytes_of(at);
        if (copied_) {
            std::memcpy(to, stored_.data + bytes_of(first_ + at), bytes_of(n));
        } else {
            ggml_quantize_chunk(type_.ggml, values, to, 0, 1, n, nullptr);
        }
    }

    void check(const float * values, int64_t first, int64_t n) {
        const float most = copied_ ? std::numeric_limits<float>::max() : largest_of(type_);
        // NaN fails every comparison.
        const float * wrong = std::find_if_not(values, values + n, [&](float v) { return std::abs(v) <= most; });
        if (wrong == values + n) return;
        const int64_t index = first + (wrong - values);
        for (int64_t before = wrong_; index < before && !wrong_.compare_exchange_weak(before, index);) {
        }
    }

    const StoredTensor & stored_;
    const std::string & name_;
    const NumberType & type_;
    int64_t first_, count_;
    bool copied_;
    float * values_;
    uint8_t * converted_;
    std::atomic<int64_t> wrong_ = none; // index of the first number out of range
};

void TensorConverter::convert(const StoredTensor & tensor, const std::string & name, const NumberType & type,
                              const Sink & sink, const Cancellation & cancellation) {
    if (!pool_) {
        values_.resize(static_cast<size_t>(slice) * slices_per_thread * threads_);
        converted_.resize(values_.size() * sizeof(double));
        pool_.emplace(threads_);
    }
    const int64_t n = tensor.n_elements();
    const double bytes_each = n > 0 ? static_cast<double>(tensor.n_bytes) / static_cast<double>(n) : 0;
    for (int64_t first = 0; first < n;) {
        cancellation.throw_if_cancelled();
        Slices slices(tensor, name, type, first, *this);
        pool_->run(slices, threads_);
        slices.check_numbers();
        first += slices.count();
        sink(converted_.data(), slices.bytes(), static_cast<size_t>(bytes_each * static_cast<double>(slices.count())));
    }
    release_mapped(tensor.data, tensor.n_bytes);
}

} // namespace diffusion
