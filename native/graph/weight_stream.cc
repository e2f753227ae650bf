// See weight_stream.h.
#include "graph/weight_stream.h"

#include <algorithm>
#include <system_error>

namespace diffusion {

namespace {

char nowhere; // planning only checks that a tensor has an address

Tensor weight_of(Tensor tensor) {
    while (tensor->view_src) tensor = tensor->view_src;
    return tensor;
}

// Calls `use` for each tensor that a node reads, itself included, which may be a view.
template <typename Use> void each_read(Tensor node, const Use & use) {
    use(node);
    for (const Tensor source : node->src) {
        if (source) use(source);
    }
}

} // namespace

StreamedWeights::StreamedWeights(ggml_backend_t device)
    : device_(device),
      nowhere_(require_made(ggml_backend_buft_alloc_buffer(ggml_backend_get_default_buffer_type(device), 0))) {
    ggml_backend_buffer_set_usage(nowhere_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
}

void StreamedWeights::add(Tensor weight, const void * data) {
    data_[weight] = data;
    displace(weight);
}

void StreamedWeights::forget(Tensor weight) noexcept {
    data_.erase(weight);
}

const void * StreamedWeights::find(const ggml_tensor * weight) const {
    if (weight->buffer != nowhere_.get()) return nullptr;
    const auto found = data_.find(weight);
    return found == data_.end() ? nullptr : found->second;
}

void StreamedWeights::displace(Tensor weight) const noexcept {
    weight->buffer = nowhere_.get();
    weight->data = &nowhere;
    weight->extra = nullptr;
}

WeightStream::WeightStream(const StreamedWeights & weights, const Graph & graph, size_t window) : weights_(weights) {
    divide(graph, window);
}

WeightStream::~WeightStream() {
    end();
}

void WeightStream::divide(const Graph & graph, size_t window) {
    const ggml_backend_buffer_type_t type = ggml_backend_get_default_buffer_type(weights_.device());
    const size_t alignment = ggml_backend_buft_get_alignment(type);
    std::unordered_map<const ggml_tensor *, size_t> first_part;
    std::set<const ggml_tensor *> staying;
    size_t part_bytes = 0;
    Tensor last = nullptr;
    const auto found_in = [&](Tensor node, Copies & fresh) {
        const bool supported = ggml_backend_supports_op(weights_.device(), node);
        each_read(node, [&](Tensor read) {
            const Tensor weight = weight_of(read);
            const void * const data = weights_.find(weight);
            if (!data) return;
            // What the device cannot compute is computed elsewhere, from copies that are made before.
            if (!supported) staying.insert(weight);
            const auto [place, added] = first_part.emplace(weight, parts_.size() - 1);
            if (!added) {
                if (place->second + 1 != parts_.size()) staying.insert(weight);
                return;
            }
            const size_t bytes = GGML_PAD(ggml_backend_buft_get_alloc_size(type, weight), alignment);
            fresh.push_back({weight, data, bytes});
        });
    };
    parts_.emplace_back();
    const int n_nodes = ggml_graph_n_nodes(graph.nodes());
    for (int i = 0; i < n_nodes; i++) {
        const Tensor node = ggml_graph_node(graph.nodes(), i);
        Copies fresh;
        found_in(node, fresh);
        size_t bytes = 0;
        for (const Copy & copy : fresh) bytes += copy.bytes;
        if (bytes > 0 && part_bytes > 0 && part_bytes + bytes > window) {
            ends_.insert(last);
            parts_.emplace_back();
            part_bytes = 0;
            for (const Copy & copy : fresh) first_part[copy.weight] = parts_.size() - 1;
        }
        part_bytes += bytes;
        for (Copy & copy : fresh) parts_.back().push_back(copy);
        last = node;
    }
    for (Copies & part : parts_) {
        const auto stays = [&](const Copy & copy) { return staying.contains(copy.weight); };
        std::ranges::copy_if(part, std::back_inserter(staying_), stays);
        std::erase_if(part, stays);
    }
    const auto place = [](Copies & copies) {
        size_t offset = 0;
        for (Copy & copy : copies) {
            copy.offset = offset;
            offset += copy.bytes;
        }
        return offset;
    };
    staying_bytes_ = place(staying_);
    for (Copies & part : parts_) window_bytes_ = std::max(window_bytes_, place(part));
    for (const Copy & copy : staying_) copies_.emplace(copy.weight, copy);
    for (size_t i = 0; i < parts_.size(); i++) {
        for (Copy & copy : parts_[i]) {
            copy.offset += (i % 2) * window_bytes_ + staying_bytes_;
            copies_.emplace(copy.weight, copy);
        }
    }
}

size_t WeightStream::bytes() const {
    return staying_bytes_ + (parts_.size() > 1 ? 2 : 1) * window_bytes_;
}

bool WeightStream::allocate(const Graph & graph) {
    memory_.reset(ggml_backend_buft_alloc_buffer(ggml_backend_get_default_buffer_type(weights_.device()), bytes()));
    if (!memory_) return false;
    ggml_backend_buffer_set_usage(memory_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    auto * const base = static_cast<char *>(ggml_backend_buffer_get_base(memory_.get()));
    const auto direct = [&](Tensor tensor) {
        const auto found = tensor->view_src ? copies_.find(weight_of(tensor)) : copies_.end();
        if (found == copies_.end()) return;
        tensor->buffer = memory_.get();
        tensor->data = base + found->second.offset + tensor->view_offs;
    };
    const int n_nodes = ggml_graph_n_nodes(graph.nodes());
    for (int i = 0; i < n_nodes; i++) each_read(ggml_graph_node(graph.nodes(), i), direct);
    return true;
}

void WeightStream::begin() {
    for (const Copy & one : staying_) copy(one);
    current_ = 0;
    copy_part(0);
    prefetch(1);
}

void WeightStream::next() {
    current_++;
    if (coming_.valid()) {
        coming_.get();
    } else {
        copy_part(current_);
    }
    prefetch(current_ + 1);
}

void WeightStream::end() noexcept {
    if (coming_.valid()) coming_.wait();
    coming_ = {};
    for (const auto & [weight, copy] : copies_) {
        if (weight->buffer == memory_.get()) weights_.displace(copy.weight);
    }
}

// Backends prepare memory that a tensor gets, so it gets it each time.
void WeightStream::copy(const Copy & copy) const {
    copy.weight->buffer = nullptr;
    copy.weight->data = nullptr;
    auto * const base = static_cast<char *>(ggml_backend_buffer_get_base(memory_.get()));
    if (ggml_backend_tensor_alloc(memory_.get(), copy.weight, base + copy.offset) != GGML_STATUS_SUCCESS) {
        throw std::bad_alloc();
    }
    ggml_backend_tensor_set(copy.weight, copy.data, 0, ggml_nbytes(copy.weight));
}

void WeightStream::copy_part(size_t part) const {
    for (const Copy & one : parts_[part]) copy(one);
}

void WeightStream::prefetch(size_t part) {
    if (part >= parts_.size()) return;
    try {
        coming_ = std::async(std::launch::async, [this, part] { copy_part(part); });
    } catch (const std::system_error &) {
        // Without a thread they are copied when they are needed.
    }
}

} // namespace diffusion
