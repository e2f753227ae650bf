// See placed_weights.h.
#include "weights/placed_weights.h"

#include <algorithm>
#include <cstring>

#include "backend/memory.h"
#include "cpu/packed_weights.h"
#include "graph/device.h"
#include "io/mapped_file.h"
#include "io/read_numbers.h"
#include "weights/tensor_converter.h"

namespace diffusion {

namespace {

// Weights of files up to this size are always copied: for little memory, later changes to the file do not matter.
constexpr size_t small_file = size_t{256} << 20;

// Kernels read whole elements or blocks; this is the largest alignment of their members.
size_t element_alignment(ggml_type type) {
    return type == GGML_TYPE_F32 || ggml_is_quantized(type) ? alignof(float) : alignof(uint16_t);
}

bool is_aligned(const StoredTensor & stored) {
    return reinterpret_cast<uintptr_t>(stored.data) % element_alignment(stored.type->ggml) == 0;
}

// Whether the tensor has the bytes of the stored one.
bool is_as_stored(const WeightBinder::Binding & binding) {
    return binding.stored->is_plain() && binding.stored->type->ggml == binding.tensor->type;
}

// Whether read_numbers() reads the tensor when panels are packed: no ggml tensor has memory for it.
bool is_raw(const WeightBinder::Binding & binding, bool packs) {
    return packs && binding.for_gemm && !is_as_stored(binding);
}

// Leaves tensors without memory and frees their packed panels.
void displace(WeightBinder::Bindings bindings, const WeightTarget & target) noexcept {
    for (const auto & binding : bindings) {
        if (target.packed) target.packed->forget(binding.tensor);
        if (target.streamed) target.streamed->forget(binding.tensor);
        binding.tensor->buffer = nullptr;
        binding.tensor->data = nullptr;
        binding.tensor->extra = nullptr;
    }
}

// Converts a converted tensor's numbers into memory.
void convert_to(uint8_t * to, const StoredTensor & stored, TensorConverter & converter,
                const Cancellation & cancellation) {
    const auto append = [&](const uint8_t * bytes, size_t n_bytes, size_t) {
        std::memcpy(to, bytes, n_bytes);
        to += n_bytes;
    };
    converter.convert(*stored.source, stored.name, *stored.type, append, cancellation);
}

// The stored tensor with data: its own or, if it is converted, in `memory`.
StoredTensor with_data(const StoredTensor & stored, std::vector<uint8_t> & memory, TensorConverter & converter,
                       const Cancellation & cancellation) {
    StoredTensor plain = stored;
    if (!stored.source) return plain;
    memory.resize(stored.n_bytes);
    convert_to(memory.data(), stored, converter, cancellation);
    plain.source.reset();
    plain.data = memory.data();
    return plain;
}

// Works in pieces: there may be no memory for a second copy.
void write_numbers(const StoredTensor & stored, Tensor tensor) {
    constexpr int64_t piece = 1 << 16;
    const size_t size = ggml_type_size(tensor->type);
    std::vector<float> values(std::min(piece, stored.n_elements()));
    std::vector<uint8_t> converted(values.size() * size);
    for (int64_t i = 0; i < stored.n_elements(); i += piece) {
        const int64_t n = std::min(piece, stored.n_elements() - i);
        read_numbers(stored, i, n, values.data());
        ggml_quantize_chunk(tensor->type, values.data(), converted.data(), 0, 1, n, nullptr);
        ggml_backend_tensor_set(tensor, converted.data(), i * size, n * size);
    }
}

} // namespace

// How each binding is placed.
struct PlacedWeights::Plan {
    Plan(const TensorTable & table, const WeightTarget & target, Placement placement)
        : files(table.files()), type(ggml_backend_get_default_buffer_type(target.backend)), packed(target.packed),
          streams(target.streamed != nullptr), maps(placement == Placement::mapped),
          reads_host(ggml_backend_buft_is_host(type)) {}

    // Whether the device reads it from main memory in each evaluation.
    bool is_streamed(const WeightBinder::Binding & b) const { return streams && b.for_gemm && !b.transform; }

    bool stays_in_file(const WeightBinder::Binding & b) const {
        if (!maps || files[b.stored->file].n_bytes < small_file) return false;
        if (is_streamed(b)) return !b.stored->source && is_as_stored(b);
        if (!reads_host) return false;
        if (b.stored->source) return is_converted_when_packed(b);
        return diffusion::is_raw(b, packed) || (!b.transform && is_as_stored(b) && is_aligned(*b.stored));
    }

    bool is_raw(const WeightBinder::Binding & b) const {
        return diffusion::is_raw(b, packed) || (b.stored->source && stays_in_file(b));
    }

    // Of memory, if it is copied.
    size_t bytes(const WeightBinder::Binding & b) const {
        const size_t size = is_raw(b) ? b.stored->n_bytes : ggml_backend_buft_get_alloc_size(type, b.tensor);
        return GGML_PAD(size, ggml_backend_buft_get_alignment(type));
    }

    WeightBytes sum(WeightBinder::Bindings bindings) const {
        WeightBytes sum;
        for (const auto & b : bindings) {
            if (stays_in_file(b)) {
                sum.mapped += static_cast<int64_t>(b.stored->in_file().n_bytes);
            } else if (is_streamed(b)) {
                sum.streamed += static_cast<int64_t>(bytes(b));
            } else {
                sum.allocated += static_cast<int64_t>(bytes(b));
            }
        }
        return sum;
    }

    const std::vector<StoredFile> & files;
    ggml_backend_buffer_type_t type;
    const PackedWeights * packed;
    bool streams, maps, reads_host;

private:
    // Quantized types would take too long to convert each time a panel is packed that is not kept.
    bool is_converted_when_packed(const WeightBinder::Binding & b) const {
        return packed && b.for_gemm && b.stored->type->block == 1 && packed->keeps(b.tensor, b.stored->n_bytes);
    }
};

WeightTarget target_of(Device & device, bool stream) {
    return {device.backend(),
            device.packed_weights(),
            device.low_rank_products(),
            device.threads(),
            stream ? device.streamed_weights() : nullptr,
            device.backends().back()};
}

WeightBytes measure_weights(const TensorTable & table, WeightBinder::Bindings bindings, const WeightTarget & target,
                            Placement placement) {
    return PlacedWeights::Plan(table, target, placement).sum(bindings);
}

UnplacedWeights::UnplacedWeights(WeightBinder::Bindings bindings, ggml_backend_t backend, PackedWeights * packed)
    : bindings_(bindings), backend_(backend), packed_(packed),
      buffer_(require_made(ggml_backend_buft_alloc_buffer(ggml_backend_get_default_buffer_type(backend), 0))) {
    static char nowhere; // planning only checks that a tensor has an address
    ggml_backend_buffer_set_usage(buffer_, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    try {
        for (const auto & binding : bindings_) {
            if (is_raw(binding, packed)) {
                packed->set_stored(binding.tensor, *binding.stored);
            } else {
                binding.tensor->buffer = buffer_;
                binding.tensor->data = &nowhere;
            }
        }
    } catch (...) {
        displace(bindings_, {backend_, packed_});
        ggml_backend_buffer_free(buffer_);
        throw;
    }
}

UnplacedWeights::~UnplacedWeights() {
    displace(bindings_, {backend_, packed_});
    ggml_backend_buffer_free(buffer_);
}

PlacedWeights::PlacedWeights(const TensorTable & table, WeightBinder::Bindings bindings, const WeightTarget & target,
                             Placement placement, const Progress & progress, const Cancellation & cancellation)
    : table_(table), bindings_(bindings), target_(target),
      changed_(std::make_unique<ChangedTensors>(target.backend, target.products)) {
    try {
        place(placement, progress, cancellation);
    } catch (...) {
        displace(bindings_, target_);
        throw;
    }
}

PlacedWeights::~PlacedWeights() {
    changed_.reset(); // restores the tensors
    displace(bindings_, target_);
    for (const auto & [tensor, stored] : in_file_) release_mapped(stored->in_file().data, stored->in_file().n_bytes);
}

void PlacedWeights::place(Placement placement, const Progress & progress, const Cancellation & cancellation) {
    const Plan plan(table_, target_, placement);
    const std::map<int, ggml_backend_buffer_t> mappings = map_files(plan);
    const WeightBytes sum = plan.sum(bindings_);
    copied_bytes_ = static_cast<size_t>(sum.allocated);
    const ggml_backend_buffer_t memory = allocate(target_.backend, plan.type, copied_bytes_),
                                main_memory = allocate(target_.host, ggml_backend_cpu_buffer_type(), sum.streamed);
    const auto base_of = [](ggml_backend_buffer_t buffer) {
        return buffer ? static_cast<uint8_t *>(ggml_backend_buffer_get_base(buffer)) : nullptr;
    };
    auto *next = base_of(memory), *next_streamed = base_of(main_memory);

    TensorConverter converter(target_.threads);
    int64_t total = 0, done = 0;
    for (const auto & binding : bindings_) total += static_cast<int64_t>(binding.stored->n_bytes);
    for (const auto & binding : bindings_) {
        cancellation.throw_if_cancelled();
        const StoredTensor & stored = *binding.stored;
        const bool in_file = plan.stays_in_file(binding);
        if (plan.is_raw(binding)) {
            StoredTensor & raw = raw_.emplace(binding.tensor, stored).first->second;
            if (!in_file && stored.source) convert_to(next, stored, converter, cancellation);
            if (!in_file && !stored.source) std::memcpy(next, stored.data, stored.n_bytes);
            if (!in_file) {
                raw.source.reset();
                raw.data = next;
            }
        } else if (plan.is_streamed(binding)) {
            const uint8_t * data = stored.data;
            if (!in_file) {
                data = next_streamed;
                ggml_backend_tensor_alloc(main_memory, binding.tensor, next_streamed);
                write(binding, converter, cancellation);
                next_streamed += plan.bytes(binding);
                release_mapped(stored.in_file().data, stored.in_file().n_bytes);
            }
            target_.streamed->add(binding.tensor, data);
            streamed_.insert(binding.tensor);
        } else if (in_file) {
            ggml_backend_tensor_alloc(mappings.at(stored.file), binding.tensor, const_cast<uint8_t *>(stored.data));
        } else {
            ggml_backend_tensor_alloc(memory, binding.tensor, next);
            write(binding, converter, cancellation);
        }
        if (in_file) {
            in_file_[binding.tensor] = &stored;
        } else if (!streamed_.contains(binding.tensor)) {
            next += plan.bytes(binding);
            release_mapped(stored.in_file().data, stored.in_file().n_bytes);
        }
        done += static_cast<int64_t>(stored.n_bytes);
        if (progress) progress(done, total);
    }
    table_.check_unchanged();
    for (const auto & [tensor, stored] : raw_) target_.packed->set_stored(tensor, stored);
}

// Writes the stored numbers into the tensor.
void PlacedWeights::write(const WeightBinder::Binding & binding, TensorConverter & converter,
                          const Cancellation & cancellation) {
    const StoredTensor & stored = *binding.stored;
    const Tensor tensor = binding.tensor;
    const bool same = !binding.transform && is_as_stored(binding);
    if (same && stored.source) {
        size_t at = 0;
        const auto append = [&](const uint8_t * bytes, size_t n_bytes, size_t) {
            ggml_backend_tensor_set(tensor, bytes, at, n_bytes);
            at += n_bytes;
        };
        return converter.convert(*stored.source, stored.name, *stored.type, append, cancellation);
    }
    if (same) return ggml_backend_tensor_set(tensor, stored.data, 0, stored.n_bytes);
    std::vector<uint8_t> memory;
    const StoredTensor numbers = with_data(stored, memory, converter, cancellation);
    if (!binding.transform) return write_numbers(numbers, tensor);
    const std::vector<float> values = binding.transform(read_all_numbers(numbers));
    ggml_backend_tensor_set(tensor, values.data(), 0, ggml_nbytes(tensor));
}

// A buffer for each mapped file that tensors are read from, by its index.
std::map<int, ggml_backend_buffer_t> PlacedWeights::map_files(const Plan & plan) {
    std::map<int, ggml_backend_buffer_t> mappings;
    for (const auto & binding : bindings_) {
        const int index = binding.stored->file;
        if (!plan.stays_in_file(binding) || mappings.contains(index)) continue;
        const MappedFile & file = *plan.files[index].mapping;
        in_use_.push_back(&file);
        Buffer buffer(require_made(ggml_backend_cpu_buffer_from_ptr(const_cast<uint8_t *>(file.data()), file.size())));
        ggml_backend_buffer_set_usage(buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        mappings[index] = buffer.get();
        buffers_.push_back(std::move(buffer));
    }
    return mappings;
}

// A buffer for copies; nullptr if there are none.
ggml_backend_buffer_t PlacedWeights::allocate(ggml_backend_t backend, ggml_backend_buffer_type_t type, size_t bytes) {
    if (bytes == 0) return nullptr;
    require_memory(bytes, backend, "the weights");
    Buffer buffer(ggml_backend_buft_alloc_buffer(type, bytes));
    if (!buffer) throw out_of_memory(bytes, backend, "the weights");
    ggml_backend_buffer_set_usage(buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    buffers_.push_back(std::move(buffer));
    return buffers_.back().get();
}

int64_t PlacedWeights::allocated_bytes() const {
    return static_cast<int64_t>(copied_bytes_) + changed_->bytes();
}

const StoredTensor * PlacedWeights::in_file(Tensor tensor) const {
    const auto found = in_file_.find(tensor);
    return found == in_file_.end() || changed_->has_own(tensor) ? nullptr : found->second;
}

void PlacedWeights::check_unchanged() const {
    for (const MappedFile * file : in_use_) file->check_unchanged();
}

PlacedWeights::Change PlacedWeights::change_to(Deltas deltas) const {
    Change change{{}, stale_};
    for (const auto & [binding, delta] : deltas_) change.stale.insert(binding);
    for (const auto & [binding, delta] : deltas) change.stale.insert(binding);
    change.deltas = std::move(deltas);
    return change;
}

void PlacedWeights::apply(Change change) noexcept {
    deltas_.swap(change.deltas);
    stale_.swap(change.stale);
}

void PlacedWeights::update(const Cancellation & cancellation) {
    while (!stale_.empty()) {
        cancellation.throw_if_cancelled();
        const WeightBinder::Binding & binding = **stale_.begin();
        const Tensor tensor = binding.tensor;
        const MappedFile & file = *table_.files()[binding.stored->file].mapping;
        file.check_unchanged(); // before the tensor is overwritten
        if (const auto delta = deltas_.find(&binding); delta != deltas_.end()) {
            using Way = ChangedTensors::Way;
            const Way way = streamed_.contains(tensor)  ? Way::beside
                            : in_file_.contains(tensor) ? Way::own
                                                        : Way::in_place;
            changed_->change(binding, *delta->second, way, cancellation);
        } else if (!changed_->restore(tensor)) {
            TensorConverter converter(target_.threads);
            write(binding, converter, cancellation);
        }
        file.check_unchanged();
        stale_.erase(&binding);
    }
}

} // namespace diffusion
