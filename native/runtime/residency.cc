// See residency.h.
#include "runtime/residency.h"

#include <algorithm>
#include <utility>

#include "backend/memory.h"

namespace diffusion {

Residency::Residency(const WeightBinder & weights, const std::vector<BoundComponent> & components, Device & device,
                     Runner & runner, Placement placement, ResidencyPolicy policy)
    : weights_(weights), device_(device), runner_(runner), placement_(placement), policy_(policy) {
    for (const BoundComponent & component : components) {
        const auto bindings = weights.bindings().subspan(component.first, component.end - component.first);
        entries_.push_back({&component, bindings, nullptr, std::nullopt});
    }
}

void Residency::set_policy(ResidencyPolicy policy) noexcept {
    if (policy.stream != policy_.stream) {
        runner_.forget_all();
        if (device_.packed_weights()) device_.packed_weights()->set_streaming(policy.stream);
        for (Entry & entry : entries_) {
            if (device_.streamed_weights()) unload(entry);
            entry.last_packed = 0;
        }
    }
    policy_ = policy;
}

void Residency::open(const PlacedWeights::Progress & progress, const Cancellation & cancellation) {
    if (policy_.kind != ResidencyPolicy::keep) return;
    int64_t total = 0, before = 0;
    for (const auto & binding : weights_.bindings()) total += static_cast<int64_t>(binding.stored->n_bytes);
    for (Entry & entry : entries_) {
        int64_t done = 0;
        const auto report = [&](int64_t done_here, int64_t) { progress(before + (done = done_here), total); };
        load(entry, progress ? PlacedWeights::Progress(report) : nullptr, cancellation);
        before += done;
    }
}

void Residency::load(size_t component, const Cancellation & cancellation) {
    load(entries_[component], nullptr, cancellation);
}

void Residency::load(Entry & entry, const PlacedWeights::Progress & progress, const Cancellation & cancellation) {
    if (entry.placed) return;
    entry.placed =
        std::make_unique<PlacedWeights>(weights_.table(), entry.bindings, target(), placement_, progress, cancellation);
}

void Residency::unload(size_t component) noexcept {
    unload(entries_[component]);
}

void Residency::unload(Entry & entry) noexcept {
    if (!entry.placed) return;
    runner_.forget(entry.component->label);
    entry.last_packed = packed_bytes(entry);
    entry.placed.reset();
    entry.loras.reset();
    return_freed_memory();
}

void Residency::prepare(size_t component, const std::shared_ptr<const LoraSet> & loras,
                        const Cancellation & cancellation) {
    Entry & entry = entries_[component];
    entry.last_use = ++uses_;
    if (policy_.kind != ResidencyPolicy::keep) {
        const int64_t packed = std::max(entry.last_packed, packed_bytes(entry));
        make_room(entry, weight_bytes(component).allocated + packed);
    }
    load(entry, nullptr, cancellation);
    add(entry, loras);
    entry.placed->update(cancellation);
}

void Residency::settle(size_t component) noexcept {
    if (policy_.kind == ResidencyPolicy::keep) return;
    Entry & entry = entries_[component];
    make_room(entry, weight_bytes(component).allocated + packed_bytes(entry));
}

// Unloads other components until `needed` bytes for `user` comply with the policy. Allocates nothing.
void Residency::make_room(const Entry & user, int64_t needed) noexcept {
    const auto held = [&](const Entry & entry) { return entry.placed->allocated_bytes() + packed_bytes(entry); };
    int64_t used = needed;
    for (const Entry & entry : entries_) {
        if (entry.placed && &entry != &user) used += held(entry);
    }
    while (policy_.kind == ResidencyPolicy::unload || used > policy_.bytes) {
        Entry * oldest = nullptr;
        for (Entry & entry : entries_) {
            const bool other = entry.placed && &entry != &user;
            if (other && (!oldest || entry.last_use < oldest->last_use)) oldest = &entry;
        }
        if (!oldest) return;
        used -= held(*oldest);
        unload(*oldest);
    }
}

// Free if the set is already applied, or does not change this component.
void Residency::add(Entry & entry, const std::shared_ptr<const LoraSet> & loras) {
    if (entry.loras == loras) return;
    const auto *first = entry.bindings.data(), *end = first + entry.bindings.size();
    PackedWeights * const packed = device_.packed_weights();
    PackedWeights::Deltas in_panels = packed ? packed->deltas() : PackedWeights::Deltas();
    for (const auto & binding : entry.bindings) in_panels.erase(binding.tensor);
    PlacedWeights::Deltas in_tensors;
    if (loras) {
        const auto & deltas = loras->loras.deltas;
        for (auto delta = deltas.lower_bound(first); delta != deltas.end() && delta->first < end; ++delta) {
            if (packed && delta->first->for_gemm) {
                in_panels.emplace(delta->first->tensor, delta->second);
            } else {
                in_tensors.emplace(delta->first, delta->second);
            }
        }
    }
    PlacedWeights::Change change = entry.placed->change_to(std::move(in_tensors));
    const bool same = change.stale.empty() && (!packed || in_panels == packed->deltas());
    // Nothing below throws, so the set is applied completely or not at all.
    if (!same) {
        runner_.forget(entry.component->label);
        entry.placed->apply(std::move(change));
        if (packed) packed->set_deltas(std::move(in_panels));
    }
    entry.loras = loras;
}

void Residency::check_unchanged(size_t component) const {
    entries_[component].placed->check_unchanged();
}

const StoredTensor * Residency::in_file(Tensor tensor) const {
    for (const Entry & entry : entries_) {
        const StoredTensor * stored = entry.placed ? entry.placed->in_file(tensor) : nullptr;
        if (stored) return stored;
    }
    return nullptr;
}

int64_t Residency::packed_bytes(const Entry & entry) const {
    const PackedWeights * packed = device_.packed_weights();
    size_t bytes = 0;
    if (packed) {
        for (const auto & binding : entry.bindings) bytes += packed->packed_bytes(binding.tensor);
    }
    return static_cast<int64_t>(bytes);
}

WeightBytes Residency::weight_bytes(size_t component) const {
    const Entry & entry = entries_[component];
    WeightBytes bytes =
        measure_weights(weights_.table(), entry.bindings, target_of(device_, policy_.stream), placement_);
    if (entry.placed) bytes.allocated = entry.placed->allocated_bytes();
    return bytes;
}

ComponentMemory Residency::memory(size_t component) const {
    const Entry & entry = entries_[component];
    ComponentMemory memory;
    memory.loaded = entry.placed != nullptr;
    if (memory.loaded) memory.weights = weight_bytes(component);
    memory.packed_bytes = packed_bytes(entry);
    memory.compute_bytes = static_cast<int64_t>(runner_.held_bytes(entry.component->label));
    return memory;
}

ComponentMemory Residency::measure(size_t component, const std::string & variant,
                                   const std::vector<GraphInput> & inputs, const Runner::Build & build) {
    const Entry & entry = entries_[component];
    std::optional<UnplacedWeights> standin;
    if (!entry.placed) standin.emplace(entry.bindings, device_.backend(), device_.packed_weights());
    ComponentMemory memory;
    memory.loaded = entry.placed != nullptr;
    memory.weights = weight_bytes(component);
    memory.compute_bytes = static_cast<int64_t>(runner_.measure(entry.component->label, variant, inputs, build));
    memory.packed_bytes = packed_bytes(entry);
    measure_residency(entry, memory);
    return memory;
}

// Of a mapped file, the pages of packed weights are released. Of tensors that no matrix product reads, tables of tokens
// are large and hardly touched.
void Residency::measure_residency(const Entry & entry, ComponentMemory & memory) const {
    constexpr int64_t touched = int64_t{1} << 20;
    const PackedWeights * packed = device_.packed_weights();
    int64_t largest = 0;
    for (const auto & binding : entry.bindings) {
        const auto measured = [&](bool stream) {
            return measure_weights(weights_.table(), WeightBinder::Bindings(&binding, 1), target_of(device_, stream),
                                   placement_);
        };
        const WeightBytes bytes = measured(false), streamed = measured(true);
        const PackedWeights::SharedPanels panels =
            packed ? packed->shared_panels(binding.tensor) : PackedWeights::SharedPanels();
        const int64_t in_file = panels.all > 0 ? 0 : binding.for_gemm ? bytes.mapped : std::min(bytes.mapped, touched);
        memory.resident_bytes += bytes.allocated + static_cast<int64_t>(panels.all) + in_file;
        memory.streamed_bytes += streamed.allocated;
        const int64_t read = streamed.mapped + streamed.streamed;
        if (device_.streamed_weights()) memory.host_bytes += read;
        if (binding.for_gemm) largest = std::max(largest, read + static_cast<int64_t>(panels.largest));
    }
    constexpr auto window = static_cast<int64_t>(WeightStream::usual_window);
    const bool windows = device_.streamed_weights() != nullptr;
    memory.streamed_bytes += windows ? std::min(memory.host_bytes, 2 * std::max(window, largest)) : largest;
}

} // namespace diffusion
