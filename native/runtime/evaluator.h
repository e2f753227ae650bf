// What every open file of networks needs: its weights on a device, and the evaluation of graphs that read them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/log.h"
#include "cancellation.h"
#include "graph/device.h"
#include "graph/profile.h"
#include "graph/runner.h"
#include "weights/placed_weights.h"

namespace diffusion {

struct EngineOptions {
    std::string device = "cpu";
    int threads = 1;
    Precision precision = Precision::automatic;
    Placement placement = Placement::mapped;
    bool profile = false;                                         // see Evaluator::profile
    std::function<void(int64_t done, int64_t total)> on_progress; // bytes; called on the opening thread
    LogSink on_log;                                               // called on the thread that calls the engine
};

// How an open file is computed with.
struct ComputeInfo {
    int64_t mapped_bytes = 0;
    int64_t allocated_bytes = 0;
    std::string device;
    int threads = 0;
    std::string precision; // of products: "f32" or "bf16"; "" where it is the device's own affair
};

using Shape4 = std::array<int64_t, 4>; // [batch, channels, height, width]

// Throws Error (invalid_argument) unless `have` numbers are an image of that shape and so many channels whose evaluation
// gives at most 2^28 pixels, `scale` of them along a side of each of its own.
void check_image(const char * name, size_t have, const Shape4 & shape, int64_t channels, int64_t scale = 1);

// [batch, channels, height, width] as ggml counts dimensions.
GraphInput image_input(const std::vector<float> & data, const Shape4 & shape);

class Evaluator {
public:
    // Places what `weights` has bound; its table must outlive the evaluator. Throws Error.
    Evaluator(const WeightBinder & weights, const EngineOptions & options, const Cancellation & cancellation);

    const ComputeInfo & info() const { return info_; }

    // For networks that are opened beside.
    Device & device() { return *device_; }
    Runner & runner() { return *runner_; }

    using Build = std::function<Tensor(Layers &, std::span<const Tensor> inputs)>;
    // See Runner::run. Throws Error (file) too, see PlacedWeights::check_unchanged.
    std::vector<float> run(const char * network, const std::string & variant, const std::vector<GraphInput> & inputs,
                           const Build & build, const Cancellation & cancellation);

    // What is added to weights, in place of all that was. Where it throws (Error: model_unsupported where the device cannot), nothing
    // has changed.
    void set_deltas(const PlacedWeights::Deltas & deltas);

    // What the evaluations so far cost; empty unless asked for by EngineOptions::profile.
    std::vector<ProfileEntry> profile() const;

private:
    LogSink on_log_;
    std::optional<Device> device_;
    std::optional<PlacedWeights> weights_;
    std::optional<Profile> profile_;
    std::optional<Runner> runner_;
    ComputeInfo info_;
};

} // namespace diffusion
