// See control_nets.h.
#include "runtime/control_nets.h"

#include <algorithm>
#include <utility>

#include "io/mapped_file.h"
#include "weights/requirements.h"

namespace diffusion {

namespace {

[[noreturn]] void refuse(const std::string & path, const Networks & networks, const std::string & found) {
    throw Error(ErrorCode::model_mismatch, path + ": expected a ControlNet for this model, of the family '" +
                                               networks.family + "', but " + found +
                                               ". Use one that was made for models of that family.");
}

std::vector<bool> downsamplings(const UnetEncoderConfig & config) {
    std::vector<bool> found;
    for (const UnetStage & stage : config.inputs) found.push_back(!stage.resampler.empty());
    return found;
}

bool attends(const UnetEncoderConfig & c) {
    return c.middle_transformers > 0 ||
           std::ranges::any_of(c.inputs, [](const UnetStage & stage) { return stage.transformers > 0; });
}

// What a ControlNet reads and adds to must be what the UNet has.
void require_fit(const ControlNetConfig & c, const Networks & networks, const std::string & path) {
    const UnetConfig & unet = networks.unet->config();
    const auto expect = [&](const char * what, int64_t found, int64_t expected) {
        if (found == expected) return;
        refuse(path, networks,
               std::string("it has ") + what + " " + std::to_string(found) + " where that has " +
                   std::to_string(expected));
    };
    if (attends(c)) expect("hidden states of width", c.context_size, unet.context_size);
    if (c.vector_size) expect("a vector of size", c.vector_size, unet.vector_size);
    if (c.guidance_size) expect("a guidance embedding of size", c.guidance_size, unet.guidance_size);
    expect("latent channels:", c.in_channels, unet.out_channels);
    if (c.skip_channels() != unet.skip_channels() || downsamplings(c) != downsamplings(unet)) {
        refuse(path, networks, "its blocks are other ones than those of the UNet");
    }
    expect("pixels along a side of the latent's cells:", c.hint_factor(), networks.vae->sizes().scale_factor);
}

} // namespace

ControlNets::ControlNets(const Networks & networks, Device & device, Runner & runner, Placement placement)
    : networks_(networks), device_(device), runner_(runner), placement_(placement) {}

ControlNets::~ControlNets() = default;

void ControlNets::open(const std::vector<std::string> & paths, const Cancellation & cancellation) {
    Entries next(paths.size());
    std::vector<const Entry *> staying(paths.size());
    for (size_t i = 0; i < paths.size(); i++) {
        if (std::find(paths.begin(), paths.begin() + i, paths[i]) != paths.begin() + i) {
            throw Error(ErrorCode::invalid_argument, "paths: expected each once.");
        }
        staying[i] = find(paths[i]);
        if (!staying[i]) next[i] = bind(paths[i], cancellation);
    }

    const auto take_over = [&] {
        for (auto & entry : open_) {
            const auto place = std::ranges::find(staying, entry.get());
            if (place != staying.end()) next[place - staying.begin()] = std::move(entry);
        }
        std::erase(open_, nullptr);
        free(std::exchange(open_, {}));
    };
    try {
        place(next, cancellation);
    } catch (const Error & error) {
        if (device_.is_cpu() || error.code() != ErrorCode::out_of_memory) throw;
        take_over(); // a GPU may have room once those before are gone
        place(next, cancellation);
    }
    take_over();
    open_ = std::move(next);
}

void ControlNets::place(Entries & entries, const Cancellation & cancellation) {
    for (auto & entry : entries) {
        if (!entry || entry->placed) continue;
        entry->placed =
            std::make_unique<PlacedWeights>(entry->tensors.table, entry->weights->bindings(), device_.backend(),
                                            device_.packed_weights(), placement_, nullptr, cancellation);
        entry->serial = next_serial_++;
    }
}

const ControlNets::Entry * ControlNets::find(const std::string & path) const {
    for (const auto & entry : open_) {
        if (entry->path == path && entry->stamps == stamps_of(entry->tensors.table)) return entry.get();
    }
    return nullptr;
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
        ControlNetConfig config = ControlNet::read_config(*entry->weights);
        config.head_size = networks_.unet->config().head_size;
        entry->net = std::make_unique<ControlNet>(*entry->weights, config);
        require_sound(*entry->weights);
        require_fit(config, networks_, path);
    } catch (const Error & error) {
        const std::string what = error.what();
        throw Error(error.code(), what.starts_with(path) ? what : path + ": " + what);
    }
    return entry;
}

std::vector<FileStamp> ControlNets::stamps_of(const TensorTable & table) {
    std::vector<FileStamp> stamps;
    for (const StoredFile & file : table.files()) stamps.push_back(stamp_of(file.path));
    return stamps;
}

void ControlNets::free(Entries entries) {
    if (entries.empty()) return;
    runner_.clear(); // plans read the weights
    entries.clear();
    return_freed_memory();
}

void ControlNets::check_unchanged() const {
    for (const auto & entry : open_) entry->placed->check_unchanged();
}

const StoredTensor * ControlNets::in_file(Tensor tensor) const {
    for (const auto & entry : open_) {
        if (const StoredTensor * stored = entry->placed->in_file(tensor)) return stored;
    }
    return nullptr;
}

} // namespace diffusion
