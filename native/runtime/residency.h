// Which components of a model have their weights in memory, and which LoRAs are applied to them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "family/family.h"
#include "graph/device.h"
#include "graph/runner.h"
#include "runtime/lora_sets.h"
#include "weights/placed_weights.h"

namespace diffusion {

// What to do with the weights of components that are not being evaluated.
struct ResidencyPolicy {
    enum Kind {
        keep,   // load all when the model is opened, and keep them
        unload, // unload them when another component is evaluated
        budget, // unload the least recently used ones until the rest fits the budget
    };
    Kind kind = keep;
    int64_t bytes = 0; // budget for copies and packed panels
    // Whether weights are streamed: on the CPU each operation reads and packs them anew, so that none stays in memory; to
    // other devices they are copied for each part of a network.
    bool stream = false;
};

// Memory of one component.
struct ComponentMemory {
    bool loaded = false;
    WeightBytes weights;       // 0 if it is not loaded
    int64_t packed_bytes = 0;  // of the packed panels that the CPU's kernels keep
    int64_t compute_bytes = 0; // of its graphs
    // Estimates: physical memory of its weights after an evaluation, and at most while they are streamed.
    int64_t resident_bytes = 0, streamed_bytes = 0;
    // Main memory that a device with memory of its own needs then.
    int64_t host_bytes = 0;
};

class Residency {
public:
    // All references must outlive it.
    Residency(const WeightBinder & weights, const std::vector<BoundComponent> & components, Device & device,
              Runner & runner, Placement placement, ResidencyPolicy policy);

    void set_policy(ResidencyPolicy policy) noexcept;

    // Loads all components if the policy is `keep`. Throws Error as PlacedWeights does.
    void open(const PlacedWeights::Progress & progress, const Cancellation & cancellation);

    // By index. Does nothing if it is already loaded. Throws Error as PlacedWeights does.
    void load(size_t component, const Cancellation & cancellation);
    void unload(size_t component) noexcept;

    // Prepares a component for an evaluation with these LoRAs (nullptr: none): makes room for it, loads it, and applies
    // them.
    void prepare(size_t component, const std::shared_ptr<const LoraSet> & loras, const Cancellation & cancellation);
    // After an evaluation: unloads others if the component took more memory than expected.
    void settle(size_t component) noexcept;

    // Throws Error (file), see PlacedWeights.
    void check_unchanged(size_t component) const;
    // See PlacedWeights::in_file.
    const StoredTensor * in_file(Tensor tensor) const;

    ComponentMemory memory(size_t component) const;
    // The weights of a component, whether or not it is loaded.
    WeightBytes weight_bytes(size_t component) const;

    // The memory that an evaluation takes. See Runner::measure.
    ComponentMemory measure(size_t component, const std::string & variant, const std::vector<GraphInput> & inputs,
                            const Runner::Build & build);

private:
    struct Entry {
        const BoundComponent * component;
        WeightBinder::Bindings bindings;
        std::unique_ptr<PlacedWeights> placed; // nullptr while it is not loaded
        // The LoRAs applied to its weights; nothing if they are unknown.
        std::optional<std::shared_ptr<const LoraSet>> loras;
        int64_t last_packed = 0; // bytes of packed panels when it was last unloaded
        uint64_t last_use = 0;
    };

    void load(Entry & entry, const PlacedWeights::Progress & progress, const Cancellation & cancellation);
    void unload(Entry & entry) noexcept;
    void add(Entry & entry, const std::shared_ptr<const LoraSet> & loras);
    int64_t packed_bytes(const Entry & entry) const;
    void measure_residency(const Entry & entry, ComponentMemory & memory) const;
    void make_room(const Entry & user, int64_t needed) noexcept;
    WeightTarget target() { return target_of(device_, policy_.stream); }

    const WeightBinder & weights_;
    Device & device_;
    Runner & runner_;
    const Placement placement_;
    ResidencyPolicy policy_;
    std::vector<Entry> entries_;
    uint64_t uses_ = 0;
};

} // namespace diffusion
