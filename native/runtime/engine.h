// One loaded model: its networks, their weights on a device, and the calls that evaluate them. Not thread-safe: its owner
// calls it from one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cancellation.h"
#include "family/networks.h"
#include "lora/lora.h"
#include "runtime/evaluator.h"
#include "source/source.h"

namespace diffusion {

struct Inspection {
    std::vector<StoredFile> files;
    std::string kind;   // see file_kind_name()
    std::string family; // empty where unknown
    std::string layout;
    std::optional<Noise> noise; // where there is a UNet whose noise is known
    std::vector<ComponentInfo> components;
    std::vector<std::string> absent; // kinds of the components that a whole model has besides
    std::vector<std::string> missing;
    std::vector<std::string> mismatched;
    std::vector<std::string> unused;
    std::map<std::string, std::string> metadata;
};

// Reads headers only. Throws Error when a file cannot be read as a tensor file at all; what is wrong with the model in it
// is reported in the result.
Inspection inspect(const Source & source, const Cancellation & cancellation);

struct TextEncoderInfo {
    std::string kind; // "clip" or "openclip"
    int64_t positions = 0;
    int64_t vocabulary = 0;
    int64_t layers = 0;
    int64_t width = 0;
    int64_t projection = 0;
    int64_t clip_skip = 0;
};

struct ModelInfo {
    std::string family;
    Noise noise;
    std::vector<ComponentInfo> components;
    int64_t latent_channels = 0;
    int64_t vae_scale_factor = 0;
    double scaling_factor = 0;
    bool tiny_autoencoder = false; // can preview
    int64_t in_channels = 0;
    int64_t vector_size = 0;
    int64_t guidance_size = 0;
    bool middle_attention = false;
    std::vector<TextEncoderInfo> text_encoders;
    std::map<std::string, std::string> metadata;
    ComputeInfo compute;
};

struct TextEncoding {
    std::vector<float> hidden, pooled;
};

// An image that a ControlNet leads the UNet by.
struct Control {
    int64_t net = 0;         // index into the paths of Engine::set_control_nets
    std::vector<float> hint; // [1, 3, height, width] of the image that is drawn, 0 to 1
    Shape4 shape = {};
    float strength = 1;
};

// What a UNet is conditioned with.
struct Condition {
    std::vector<float> context; // [batch, context_tokens, context size]
    int64_t context_tokens = 0;
    std::vector<float> vector;       // [batch, vector size]
    std::vector<float> guidance;     // [batch, guidance size]
    bool identity_attention = false; // in the middle block
    std::vector<Control> controls;
    Tileable tileable;
};

class Engine {
public:
    // Opens, checks and places a model. Throws Error; a missing, mismatched or unused tensor is an error.
    static std::unique_ptr<Engine> open(const Source & source, const NoiseGiven & given, const EngineOptions & options,
                                        const Cancellation & cancellation);
    ~Engine();

    const ModelInfo & info() const;
    // What the evaluations so far cost; empty unless asked for by EngineOptions::profile.
    std::vector<ProfileEntry> profile() const;

    // The LoRAs that are in force from now on, in place of those before; says what was found in each. The same again costs
    // nothing. Tensors that are not applied are told of (LogLevel::warn), or, with `all`, refused (model_mismatch). Where it throws
    // (see read_loras), those before stay in force.
    std::vector<LoraReport> set_loras(const std::vector<LoraFile> & files, bool all, const Cancellation & cancellation);

    // All inputs and outputs are float32, row-major, shapes as in lib/native/contract.ts. The calls check shapes and token
    // ids before any graph is built, and throw Error (invalid_argument, cancelled, out_of_memory, device; file, see
    // PlacedWeights::check_unchanged).
    //
    // Makes the ControlNets of these files and folders the open ones; those that are open stay so. Throws Error as `open` does,
    // and then changes nothing (see ControlNets::open for the exception).
    void set_control_nets(const std::vector<std::string> & paths, const Cancellation &);
    // `vectors`: [n, width]; a token beyond the vocabulary stands for one of them, in their order.
    TextEncoding encode_text(int64_t encoder, const std::vector<int32_t> & tokens, const std::vector<float> & vectors,
                             int64_t clip_skip, const Cancellation &);
    std::vector<float> predict(const std::vector<float> & latent, Shape4 shape, const std::vector<float> & timesteps,
                               const Condition & condition, const Cancellation &);
    std::vector<float> decode(const std::vector<float> & latent, Shape4 shape, Tileable tileable, const Cancellation &);
    std::vector<float> encode(const std::vector<float> & image, Shape4 shape, Tileable tileable, const Cancellation &);
    // Decodes by the tiny autoencoder.
    std::vector<float> preview(const std::vector<float> & latent, Shape4 shape, Tileable tileable,
                               const Cancellation &);

private:
    struct Impl;
    explicit Engine(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace diffusion
