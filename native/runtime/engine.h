// An open model or image network on a device: its components, and the calls that evaluate them. Not thread-safe: one
// thread at a time may call it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "backend/log.h"
#include "cancellation.h"
#include "family/model.h"
#include "graph/profile.h"
#include "network/image_network.h"
#include "runtime/control_nets.h"
#include "runtime/handle.h"
#include "runtime/lora_sets.h"
#include "runtime/residency.h"

namespace diffusion {

struct EngineOptions {
    std::string device = "cpu";
    int threads = 1;
    Precision precision = Precision::automatic;
    Placement placement = Placement::mapped;
    ResidencyPolicy residency;
    TypeRequest types;                                            // of a model: what its weights are converted to
    bool profile = false;                                         // see Engine::profile
    std::function<void(int64_t done, int64_t total)> on_progress; // bytes; called on the opening thread
    LogSink on_log;                                               // called on the thread that calls the engine
};

// The resources that a model uses.
struct ComputeInfo {
    int64_t mapped_bytes = 0;
    int64_t allocated_bytes = 0;
    std::string device;
    int threads = 0;
    std::string precision; // of matrix products: "f32" or "bf16"; empty if the device decides
};

struct ModelInfo {
    std::string family;
    Noise noise;
    std::vector<PartInfo> parts;
    ModelFacts facts;
    std::map<std::string, std::string> metadata;
    ComputeInfo compute;
};

struct ImageNetworkInfo : ImageNetworkKind {
    int64_t parameters = 0;
    ComputeInfo compute{};
};

struct ComponentInfo {
    std::string name;
    std::string label;
    std::string device;
    Signature signature;
};

// A ControlNet that conditions an evaluation.
struct ControlCall {
    Handle net;
    Array hint; // the control image, [1, 3, height, width] as in the generated image, 0 to 1
    float strength = 1;
};

// The options of an evaluation.
struct CallOptions {
    Settings settings;
    Tileable tileable;
    Handle loras; // empty: no LoRAs
    std::vector<ControlCall> controls;
    Runner::Progress on_progress; // of an evaluation in tiles; called on the thread that calls the engine
};

class Engine {
public:
    // Opens and checks a model, and loads its components unless the residency policy says otherwise. Throws Error, also
    // for missing, mismatched or unused tensors.
    static std::unique_ptr<Engine> open(const Source & source, const NoiseGiven & given, const EngineOptions & options,
                                        const Cancellation & cancellation);
    // The same for an image network, whose component has the name of its kind.
    static std::unique_ptr<Engine> open_image_network(const std::string & path, const EngineOptions & options,
                                                      const Cancellation & cancellation);
    ~Engine();

    using Info = std::variant<ModelInfo, ImageNetworkInfo>;
    const Info & info() const;
    std::vector<ComponentInfo> components() const;

    // The outputs by name, f32, row-major. Checks all arguments before it builds a graph, and loads the component if
    // necessary. Throws Error (invalid_argument, model_incomplete, model_unsupported, cancelled, out_of_memory, device;
    // file, see PlacedWeights::check_unchanged).
    std::map<std::string, std::vector<float>> evaluate(const std::string & component, Arrays inputs,
                                                       const CallOptions & options, const Cancellation & cancellation);

    // The memory that such an evaluation takes. Inputs need no values.
    ComponentMemory estimate(const std::string & component, Arrays inputs, const CallOptions & options);

    void load(const std::string & component, const Cancellation & cancellation);
    void unload(const std::string & component);
    // For the evaluations that follow.
    void set_residency(ResidencyPolicy policy);
    // By component, in the order of components().
    std::vector<ComponentMemory> memory();

    LoraSets::Opened open_loras(const std::vector<LoraFile> & files, bool all, const Cancellation & cancellation);
    Handle open_control_net(const std::string & path, const Cancellation & cancellation);
    // Frees LoRAs and ControlNets without handles; other calls do so too.
    void collect();

    // The cost of all evaluations so far; empty without EngineOptions::profile.
    std::vector<ProfileEntry> profile() const;

private:
    struct Impl;
    explicit Engine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace diffusion
