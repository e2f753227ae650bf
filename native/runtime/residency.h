// Which components of a model have their weights in memory, and with which LoRAs added.
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

// What becomes of the weights of components that are not being evaluated.
struct ResidencyPolicy {
    enum Kind {
        keep,   // all stay, from the opening on
        unload, // they go when another one is evaluated
        budget, // those go that were not evaluated for the longest time, until what stays fits
    };
    Kind kind = keep;
    int64_t bytes = 0; // of the budget: copies and packed panels
};

// Memory of one component.
struct ComponentMemory {
    bool loaded = false;
    WeightBytes weights;       // 0 where it is not loaded
    int64_t packed_bytes = 0;  // of panels that the CPU's kernels keep, once they are packed
    int64_t compute_bytes = 0; // of its graphs
};

class Residency {
public:
    // All must outlive it.
    Residency(const WeightBinder & weights, const std::vector<BoundComponent> & components, Device & device,
              Runner & runner, Placement placement, ResidencyPolicy policy);

    // Loads all components where they are to be kept. Throws Error as PlacedWeights does.
    void open(const PlacedWeights::Progress & progress, const Cancellation & cancellation);

    // By index. Throws Error as PlacedWeights does; loading a loaded one does nothing.
    void load(size_t component, const Cancellation & cancellation);
    void unload(size_t component) noexcept;

    // Makes a component ready for an evaluation with these LoRAs (nullptr: none): makes room for it, loads it, and adds them.
    void prepare(size_t component, const std::shared_ptr<const LoraSet> & loras, const Cancellation & cancellation);
    // Keeps to the budget, now that it is known what the component takes.
    void settle(size_t component) noexcept;

    // Throws Error (file), see PlacedWeights.
    void check_unchanged(size_t component) const;
    // See PlacedWeights::in_file.
    const StoredTensor * in_file(Tensor tensor) const;

    ComponentMemory memory(size_t component) const;
    // What a component takes that is loaded or will be.
    WeightBytes weight_bytes(size_t component) const;

    // Bytes of compute memory of a run, and of the panels that it keeps. See Runner::measure.
    ComponentMemory measure(size_t component, const std::string & variant, const std::vector<GraphInput> & inputs,
                            const Runner::Build & build);

private:
    struct Entry {
        const BoundComponent * component;
        WeightBinder::Bindings bindings;
        std::unique_ptr<PlacedWeights> placed; // nullptr while it is not loaded
        // What is added to its weights; nothing where that is not known.
        std::optional<std::shared_ptr<const LoraSet>> loras;
        int64_t last_packed = 0; // bytes of panels that it kept when it was last evaluated
        uint64_t last_use = 0;
    };

    void load(Entry & entry, const PlacedWeights::Progress & progress, const Cancellation & cancellation);
    void unload(Entry & entry) noexcept;
    void add(Entry & entry, const std::shared_ptr<const LoraSet> & loras);
    int64_t packed_bytes(const Entry & entry) const;
    void make_room(const Entry & user, int64_t needed) noexcept;

    const WeightBinder & weights_;
    Device & device_;
    Runner & runner_;
    const Placement placement_;
    const ResidencyPolicy policy_;
    std::vector<Entry> entries_;
    uint64_t uses_ = 0;
};

} // namespace diffusion
