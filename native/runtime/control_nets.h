// The ControlNets that a model has open beside its own networks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "family/networks.h"
#include "graph/device.h"
#include "graph/runner.h"
#include "io/file_stamp.h"
#include "network/control_net.h"
#include "weights/placed_weights.h"

namespace diffusion {

class ControlNets {
public:
    // The first three must outlive it.
    ControlNets(const Networks & networks, Device & device, Runner & runner, Placement placement);
    ~ControlNets();

    // Makes these the open ones: keeps those that are open under their path and unchanged since, opens the others, and frees the
    // rest once those have their weights in place. Where it throws (Error, std::bad_alloc), those before stay open; on a GPU
    // without room for both, none.
    void open(const std::vector<std::string> & paths, const Cancellation & cancellation);

    size_t size() const { return open_.size(); }
    const ControlNet & net(size_t i) const { return *open_[i]->net; }
    // Differs between all that were ever open.
    int64_t serial(size_t i) const { return open_[i]->serial; }

    // Throws Error (file), see PlacedWeights.
    void check_unchanged() const;
    // See PlacedWeights::in_file.
    const StoredTensor * in_file(Tensor tensor) const;

private:
    struct Entry {
        std::string path;
        int64_t serial = 0;
        std::vector<FileStamp> stamps; // of its files
        ModelTensors tensors;
        std::unique_ptr<WeightBinder> weights;
        std::unique_ptr<ControlNet> net;
        std::unique_ptr<PlacedWeights> placed;
    };
    using Entries = std::vector<std::unique_ptr<Entry>>;

    const Entry * find(const std::string & path) const;
    static std::vector<FileStamp> stamps_of(const TensorTable & table);
    std::unique_ptr<Entry> bind(const std::string & path, const Cancellation & cancellation) const;
    void place(Entries & entries, const Cancellation & cancellation);
    void free(Entries entries);

    const Networks & networks_;
    Device & device_;
    Runner & runner_;
    const Placement placement_;
    Entries open_;
    int64_t next_serial_ = 0;
};

} // namespace diffusion
