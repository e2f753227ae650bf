// See changed_tensors.h.
#include "weights/changed_tensors.h"

#include <vector>

#include "ggml-alloc.h"

#include "backend/memory.h"
#include "io/read_numbers.h"

namespace diffusion {

namespace {

bool is_matrix_of_layer(const WeightBinder::Binding & binding) {
    return binding.for_gemm && ggml_is_matrix(binding.tensor);
}

// Row by row from the file, in the tensor's type.
void write_sum(const WeightBinder::Binding & binding, const RowDelta & delta, const Cancellation & cancellation) {
    const Tensor tensor = binding.tensor;
    const int64_t rows = weight_rows(tensor), length = ggml_nelements(tensor) / rows;
    const size_t bytes = ggml_row_size(tensor->type, length);
    std::vector<uint8_t> sum(bytes);
    std::vector<float> values(length), scratch(delta.scratch());
    for (int64_t row = 0; row < rows; row++) {
        cancellation.throw_if_cancelled();
        read_numbers(*binding.stored, row * length, length, values.data());
        delta.add(add_product, row, 1, values.data(), scratch.data());
        ggml_quantize_chunk(tensor->type, values.data(), sum.data(), 0, 1, length, nullptr);
        ggml_backend_tensor_set(tensor, sum.data(), row * bytes, bytes);
    }
}

// All terms as one product: their ranks one after the other, and their scales in `up`.
void write_factors(const std::vector<LowRankTerm> & terms, const LowRankProduct & product) {
    const int64_t in = product.down->ne[0], rank = product.up->ne[0], out = product.up->ne[1];
    std::vector<float> up(rank * out);
    int64_t first = 0;
    for (const LowRankTerm & term : terms) {
        ggml_backend_tensor_set(product.down, term.down, first * in * sizeof(float), term.rank * in * sizeof(float));
        for (int64_t i = 0; i < out; i++) {
            for (int64_t j = 0; j < term.rank; j++) {
                up[i * rank + first + j] = term.scale * term.up[i * term.rank + j];
            }
        }
        first += term.rank;
    }
    ggml_backend_tensor_set(product.up, up.data(), 0, up.size() * sizeof(float));
}

} // namespace

ChangedTensors::~ChangedTensors() {
    while (!own_.empty()) restore(own_.begin()->first);
    while (!factors_.empty()) restore(factors_.begin()->first);
}

void ChangedTensors::change(const WeightBinder::Binding & binding, const RowDelta & delta, Way way,
                            const Cancellation & cancellation) {
    const Tensor tensor = binding.tensor;
    restore(tensor);
    const bool quantized = ggml_is_quantized(tensor->type);
    std::vector<LowRankTerm> terms;
    if ((quantized || way == Way::beside) && products_ && is_matrix_of_layer(binding) && delta.low_rank_terms(terms)) {
        return place_factors(tensor, terms);
    }
    if (quantized || way != Way::in_place) give_memory(tensor, quantized ? GGML_TYPE_F16 : tensor->type);
    write_sum(binding, delta, cancellation);
}

bool ChangedTensors::restore(Tensor tensor) noexcept {
    if (const auto own = own_.find(tensor); own != own_.end()) {
        *tensor = own->second.before;
        own_.erase(own);
        return true;
    }
    if (const auto factors = factors_.find(tensor); factors != factors_.end()) {
        products_->erase(tensor);
        factors_.erase(factors);
        return true;
    }
    return false;
}

int64_t ChangedTensors::bytes() const {
    size_t bytes = 0;
    for (const auto & [tensor, own] : own_) bytes += ggml_backend_buffer_get_size(own.buffer.get());
    for (const auto & [tensor, factors] : factors_) bytes += ggml_backend_buffer_get_size(factors.buffer.get());
    return static_cast<int64_t>(bytes);
}

ChangedTensors::Buffer ChangedTensors::allocate(size_t bytes) const {
    require_memory(bytes, backend_, "weights with a LoRA");
    Buffer buffer(ggml_backend_buft_alloc_buffer(ggml_backend_get_default_buffer_type(backend_), bytes));
    if (!buffer) throw out_of_memory(bytes, backend_, "weights with a LoRA");
    ggml_backend_buffer_set_usage(buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    return buffer;
}

void ChangedTensors::give_memory(Tensor tensor, ggml_type type) {
    ggml_tensor changed = *tensor;
    changed.type = type;
    changed.buffer = nullptr;
    changed.data = nullptr;
    changed.extra = nullptr;
    changed.nb[0] = ggml_type_size(type);
    changed.nb[1] = ggml_row_size(type, changed.ne[0]);
    for (int i = 2; i < GGML_MAX_DIMS; i++) changed.nb[i] = changed.nb[i - 1] * changed.ne[i - 1];
    Buffer buffer =
        allocate(ggml_backend_buft_get_alloc_size(ggml_backend_get_default_buffer_type(backend_), &changed));
    const Own & own = own_.emplace(tensor, Own{std::move(buffer), *tensor}).first->second;
    *tensor = changed;
    ggml_backend_tensor_alloc(own.buffer.get(), tensor, ggml_backend_buffer_get_base(own.buffer.get()));
}

void ChangedTensors::place_factors(Tensor weight, const std::vector<LowRankTerm> & terms) {
    int64_t rank = 0;
    for (const LowRankTerm & term : terms) rank += term.rank;
    ggml_init_params params{};
    params.mem_size = 2 * ggml_tensor_overhead();
    params.no_alloc = true;
    Factors factors;
    factors.context.reset(require_made(ggml_init(params)));
    const LowRankProduct product{ggml_new_tensor_2d(factors.context.get(), GGML_TYPE_F32, weight->ne[0], rank),
                                 ggml_new_tensor_2d(factors.context.get(), GGML_TYPE_F32, rank, weight->ne[1])};
    const ggml_backend_buffer_type_t type = ggml_backend_get_default_buffer_type(backend_);
    const size_t first =
        GGML_PAD(ggml_backend_buft_get_alloc_size(type, product.down), ggml_backend_buft_get_alignment(type));
    factors.buffer = allocate(first + ggml_backend_buft_get_alloc_size(type, product.up));
    auto * base = static_cast<uint8_t *>(ggml_backend_buffer_get_base(factors.buffer.get()));
    ggml_backend_tensor_alloc(factors.buffer.get(), product.down, base);
    ggml_backend_tensor_alloc(factors.buffer.get(), product.up, base + first);
    write_factors(terms, product);
    products_->emplace(weight, product);
    try {
        factors_.emplace(weight, std::move(factors));
    } catch (...) {
        products_->erase(weight);
        throw;
    }
}

} // namespace diffusion
