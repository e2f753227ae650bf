// See placed_weights.h.
#include "weights/placed_weights.h"

#include <algorithm>
#include <cstring>

#include "backend/memory.h"
#include "cpu/packed_weights.h"
#include "io/mapped_file.h"
#include "io/read_numbers.h"

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

// Whether the tensor has the same bytes as in the file.
bool is_as_stored(const WeightBinder::Binding & binding) {
    return binding.stored->is_plain() && binding.stored->type->ggml == binding.tensor->type;
}

// Whether read_numbers() reads the tensor when panels are packed: it then has no memory of its own.
bool is_raw(const WeightBinder::Binding & binding, bool packs) {
    return packs && binding.for_gemm && !is_as_stored(binding);
}

// Leaves tensors without memory and frees their packed panels.
void displace(WeightBinder::Bindings bindings, PackedWeights * packed) noexcept {
    for (const auto & binding : bindings) {
        if (packed) packed->forget(binding.tensor);
        binding.tensor->buffer = nullptr;
        binding.tensor->data = nullptr;
        binding.tensor->extra = nullptr;
    }
}

// Writes `stored` into `tensor`. Conversion works in pieces: there may be no memory for a second copy.
void write(const StoredTensor & stored, Tensor tensor) {
    if (stored.is_plain() && stored.type->ggml == tensor->type) {
        return ggml_backend_tensor_set(tensor, stored.data, 0, stored.n_bytes);
    }
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
    Plan(const TensorTable & table, ggml_backend_t backend, bool packed, Placement placement)
        : files(table.files()), type(ggml_backend_get_default_buffer_type(backend)), packs(packed),
          maps(placement == Placement::mapped && ggml_backend_buft_is_host(type)) {}

    bool stays_in_file(const WeightBinder::Binding & b) const {
        const bool wanted = maps && files[b.stored->file].n_bytes >= small_file;
        return wanted && (is_raw(b, packs) || (!b.transform && is_as_stored(b) && is_aligned(*b.stored)));
    }

    // Of memory, if it is copied.
    size_t bytes(const WeightBinder::Binding & b) const {
        const size_t size = is_raw(b, packs) ? b.stored->n_bytes : ggml_backend_buft_get_alloc_size(type, b.tensor);
        return GGML_PAD(size, ggml_backend_buft_get_alignment(type));
    }

    WeightBytes sum(WeightBinder::Bindings bindings) const {
        WeightBytes sum;
        for (const auto & b : bindings) {
            if (stays_in_file(b)) {
                sum.mapped += static_cast<int64_t>(b.stored->n_bytes);
            } else {
                sum.allocated += static_cast<int64_t>(bytes(b));
            }
        }
        return sum;
    }

    const std::vector<StoredFile> & files;
    ggml_backend_buffer_type_t type;
    bool packs, maps;
};

WeightBytes measure_weights(const TensorTable & table, WeightBinder::Bindings bindings, ggml_backend_t backend,
                            bool packs, Placement placement) {
    return PlacedWeights::Plan(table, backend, packs, placement).sum(bindings);
}

UnplacedWeights::UnplacedWeights(WeightBinder::Bindings bindings, ggml_backend_t backend, PackedWeights * packed)
    : bindings_(bindings), packed_(packed),
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
        displace(bindings_, packed_);
        ggml_backend_buffer_free(buffer_);
        throw;
    }
}

UnplacedWeights::~UnplacedWeights() {
    displace(bindings_, packed_);
    ggml_backend_buffer_free(buffer_);
}

PlacedWeights::PlacedWeights(const TensorTable & table, WeightBinder::Bindings bindings, ggml_backend_t backend,
                             PackedWeights * packed, LowRankProducts * products, Placement placement,
                             const Progress & progress, const Cancellation & cancellation)
    : table_(table), bindings_(bindings), backend_(backend), packed_(packed),
      changed_(std::make_unique<ChangedTensors>(backend, products)) {
    try {
        place(placement, progress, cancellation);
    } catch (...) {
        displace(bindings_, packed_);
        throw;
    }
}

PlacedWeights::~PlacedWeights() {
    changed_.reset(); // restores the tensors
    displace(bindings_, packed_);
    for (const auto & [tensor, stored] : in_file_) release_mapped(stored->data, stored->n_bytes);
}

void PlacedWeights::place(Placement placement, const Progress & progress, const Cancellation & cancellation) {
    const Plan plan(table_, backend_, packed_ != nullptr, placement);
    const std::map<int, ggml_backend_buffer_t> mappings = map_files(plan);
    const ggml_backend_buffer_t memory = allocate(plan);
    auto * next = memory ? static_cast<uint8_t *>(ggml_backend_buffer_get_base(memory)) : nullptr;

    int64_t total = 0, done = 0;
    for (const auto & binding : bindings_) total += static_cast<int64_t>(binding.stored->n_bytes);
    for (const auto & binding : bindings_) {
        cancellation.throw_if_cancelled();
        const StoredTensor & stored = *binding.stored;
        const bool in_file = plan.stays_in_file(binding);
        if (is_raw(binding, packed_)) {
            raw_.emplace(binding.tensor, stored).first->second.data = in_file ? stored.data : next;
            if (!in_file) std::memcpy(next, stored.data, stored.n_bytes);
        } else if (in_file) {
            ggml_backend_tensor_alloc(mappings.at(stored.file), binding.tensor, const_cast<uint8_t *>(stored.data));
        } else {
            ggml_backend_tensor_alloc(memory, binding.tensor, next);
            if (binding.transform) {
                const std::vector<float> values = binding.transform(read_all_numbers(stored));
                ggml_backend_tensor_set(binding.tensor, values.data(), 0, ggml_nbytes(binding.tensor));
            } else {
                write(stored, binding.tensor);
            }
        }
        if (in_file) {
            in_file_[binding.tensor] = &stored;
        } else {
            next += plan.bytes(binding);
            release_mapped(stored.data, stored.n_bytes);
        }
        done += static_cast<int64_t>(stored.n_bytes);
        if (progress) progress(done, total);
    }
    table_.check_unchanged();
    for (const auto & [tensor, stored] : raw_) packed_->set_stored(tensor, stored);
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

// A buffer for all copies; nullptr if there are none.
ggml_backend_buffer_t PlacedWeights::allocate(const Plan & plan) {
    const auto bytes = copied_bytes_ = static_cast<size_t>(plan.sum(bindings_).allocated);
    if (bytes == 0) return nullptr;
    require_memory(bytes, backend_, "the weights");
    Buffer buffer(ggml_backend_buft_alloc_buffer(plan.type, bytes));
    if (!buffer) throw out_of_memory(bytes, backend_, "the weights");
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
            changed_->change(binding, *delta->second, !in_file_.contains(tensor), cancellation);
        } else if (!changed_->restore(tensor)) {
            write(*binding.stored, tensor);
        }
        file.check_unchanged();
        stale_.erase(&binding);
    }
}

} // namespace diffusion
