// The sets of LoRAs that callers of a model have open.
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
    // What tells whether it is the same set: the files as they are, and their weights.
    using Key = std::vector<std::tuple<std::string, double, double, FileStamp>>;
    Key key;
    Loras loras;
};

class LoraSets {
public:
    // `host`: the backend of the machine's own memory. `packs`: the CPU's kernels pack the weights. The binder must outlive it.
    LoraSets(const WeightBinder & weights, ggml_backend_t host, bool packs)
        : weights_(weights), host_(host), packs_(packs) {}

    struct Opened {
        Handle handle;
        std::vector<LoraReport> reports;
    };
    // Reads the files, unless the same set is in use. Tensors that are not applied are told of (LogLevel::warn), or, with `all`, refused
    // (model_mismatch). Throws Error as read_loras does, and model_unsupported where the device cannot add to weights.
    Opened open(const std::vector<LoraFile> & files, bool all, const Cancellation & cancellation);

    // Throws Error (invalid_argument) for a handle of another kind or model. No handle means no LoRAs: nullptr.
    std::shared_ptr<const LoraSet> find(const Handle & handle) const;

    // Frees what nobody holds.
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
    bool packs_;
    std::vector<Entry> open_;
    std::vector<std::weak_ptr<const LoraSet>> read_; // also those that are still in force
};

} // namespace diffusion
