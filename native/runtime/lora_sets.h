// A model's open sets of LoRAs.
#pragma once

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "io/file_stamp.h"
#include "lora/lora.h"
#include "runtime/handle.h"

namespace diffusion {

struct LoraSet {
    // Identifies a set: its files with their stamps, and their weights.
    using Key = std::vector<std::tuple<std::string, double, double, FileStamp>>;
    Key key;
    Loras loras;
};

class LoraSets {
public:
    // `host`: the CPU backend, for main memory. `weights` must outlive it.
    LoraSets(const WeightBinder & weights, ggml_backend_t host) : weights_(weights), host_(host) {}

    struct Opened {
        Handle handle;
        std::vector<LoraReport> reports;
    };
    // Reads the files, unless the same set is in use. Tensors that are not applied cause a warning, or, with `all`, an
    // Error (model_mismatch). Throws Error as read_loras does.
    Opened open(const std::vector<LoraFile> & files, bool all, const Cancellation & cancellation);

    // nullptr for an empty handle. Throws Error (invalid_argument) if this model has no set open under the handle.
    std::shared_ptr<const LoraSet> find(const Handle & handle) const;

    // Frees sets without handles.
    void collect();

private:
    struct Entry {
        std::weak_ptr<const HandleToken> handle;
        std::shared_ptr<const LoraSet> set;
    };

    std::shared_ptr<const LoraSet> read(LoraSet::Key key, const std::vector<LoraFile> & files,
                                        const Cancellation & cancellation) const;

    const WeightBinder & weights_;
    ggml_backend_t host_;
    std::vector<Entry> open_;
    std::vector<std::weak_ptr<const LoraSet>> read_; // includes closed sets that are still applied to weights
};

} // namespace diffusion
