// A model's open ControlNets.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "family/model.h"
#include "graph/device.h"
#include "graph/runner.h"
#include "io/file_stamp.h"
#include "network/control_net.h"
#include "runtime/handle.h"
#include "weights/placed_weights.h"

namespace diffusion {

class ControlNets {
public:
    struct Entry {
        std::string path;
        int64_t serial = 0;            // unique among all that were ever opened
        std::vector<FileStamp> stamps; // of its files
        ModelTensors tensors;
        std::unique_ptr<WeightBinder> weights;
        std::unique_ptr<ControlNet> net;
        std::unique_ptr<PlacedWeights> placed;
        std::vector<std::weak_ptr<const HandleToken>> handles;
    };

    // `model`, `device` and `runner` must outlive it. `user`: the name of the graphs that read the weights.
    ControlNets(const Model & model, Device & device, Runner & runner, std::string user, Placement placement);
    ~ControlNets();

    // Reuses an open one if its files are unchanged. Throws Error.
    Handle open(const std::string & path, const Cancellation & cancellation);

    // Throws Error (invalid_argument) if this model has no ControlNet open under the handle.
    const Entry & find(const Handle & handle) const;

    // Frees those without handles.
    void collect();

    // See PlacedWeights::in_file.
    const StoredTensor * in_file(Tensor tensor) const;

private:
    Entry * find(const std::string & path);
    std::unique_ptr<Entry> bind(const std::string & path, const Cancellation & cancellation) const;

    const Model & model_;
    Device & device_;
    Runner & runner_;
    const std::string user_;
    const Placement placement_;
    std::vector<std::unique_ptr<Entry>> open_;
    int64_t next_serial_ = 0;
};

} // namespace diffusion
