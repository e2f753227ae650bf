// See control_nets.h.
#include "runtime/control_nets.h"

#include <algorithm>
#include <utility>

#include "backend/memory.h"

namespace diffusion {

namespace {

std::vector<FileStamp> stamps_of(const TensorTable & table) {
    std::vector<FileStamp> stamps;
    for (const StoredFile & file : table.files()) stamps.push_back(stamp_of(file.path));
    return stamps;
}

} // namespace

ControlNets::ControlNets(const Model & model, Device & device, Runner & runner, std::string user, Placement placement)
    : model_(model), device_(device), runner_(runner), user_(std::move(user)), placement_(placement) {}

ControlNets::~ControlNets() = default;

Handle ControlNets::open(const std::string & path, const Cancellation & cancellation) {
    Handle handle = make_handle();
    if (Entry * known = find(path)) {
        known->handles.push_back(handle);
        return handle;
    }
    auto entry = bind(path, cancellation);
    entry->placed = std::make_unique<PlacedWeights>(entry->tensors.table, entry->weights->bindings(),
                                                    target_of(device_, false), placement_, nullptr, cancellation);
    entry->serial = next_serial_++;
    entry->handles.push_back(handle);
    open_.push_back(std::move(entry));
    return handle;
}

ControlNets::Entry * ControlNets::find(const std::string & path) {
    for (const auto & entry : open_) {
        if (entry->path == path && entry->stamps == stamps_of(entry->tensors.table)) return entry.get();
    }
    return nullptr;
}

const ControlNets::Entry & ControlNets::find(const Handle & handle) const {
    for (const auto & entry : open_) {
        if (handle && std::ranges::any_of(entry->handles, [&](const auto & held) { return held.lock() == handle; })) {
            return *entry;
        }
    }
    throw Error(ErrorCode::invalid_argument, "controls: expected a ControlNet that is open on this model.");
}

std::unique_ptr<ControlNets::Entry> ControlNets::bind(const std::string & path,
                                                      const Cancellation & cancellation) const {
    auto entry = std::make_unique<Entry>();
    entry->path = path;
    Source source;
    source.control_net = path;
    entry->tensors = open_source(source, cancellation);
    entry->stamps = stamps_of(entry->tensors.table);
    entry->weights = std::make_unique<WeightBinder>(entry->tensors.table);
    try {
        entry->net = model_.family->bind_control_net(model_, *entry->weights, path);
    } catch (const Error & error) {
        const std::string what = error.what();
        throw Error(error.code(), what.starts_with(path) ? what : path + ": " + what);
    }
    return entry;
}

void ControlNets::collect() {
    bool any = false;
    for (const auto & entry : open_) {
        std::erase_if(entry->handles, [](const auto & held) { return held.expired(); });
        any = any || entry->handles.empty();
    }
    if (!any) return;
    runner_.forget(user_); // its graphs read the weights
    std::erase_if(open_, [](const auto & entry) { return entry->handles.empty(); });
    return_freed_memory();
}

const StoredTensor * ControlNets::in_file(Tensor tensor) const {
    for (const auto & entry : open_) {
        if (const StoredTensor * stored = entry->placed->in_file(tensor)) return stored;
    }
    return nullptr;
}

} // namespace diffusion
