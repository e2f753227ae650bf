// The networks of one model bound to the tensors of its files, and what is wrong with them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "family/noise.h"
#include "names/names.h"
#include "network/clip_text.h"
#include "network/unet.h"
#include "network/vae.h"
#include "source/file_kind.h"
#include "source/source.h"
#include "weights/weight_binder.h"

namespace diffusion {

using ConfigValue = std::variant<int64_t, bool, std::string, std::vector<int64_t>>;

struct ComponentInfo {
    std::string kind; // "unet", "text_encoder", "text_encoder_2", "vae"
    int64_t parameters = 0;
    int64_t n_bytes = 0;
    std::map<std::string, int64_t> types;
    std::map<std::string, ConfigValue> config;
};

struct Networks {
    ModelTensors tensors;
    std::unique_ptr<WeightBinder> weights;
    FileKind kind = FileKind::unknown;
    // nullptr where the files hold no tensor of the network.
    std::unique_ptr<ClipText> text;
    std::unique_ptr<ClipText> text_2; // of SDXL, which its refiner has alone
    std::unique_ptr<Unet> unet;
    std::unique_ptr<Vae> vae;
    std::unique_ptr<Vae> tiny; // beside it, for previews
    std::string family;
    std::optional<Noise> noise; // where it is of a kind that this package has
    std::vector<ComponentInfo> components;
    std::vector<std::string> problems; // what no network of this package has or does
    std::vector<std::string> unused;
};

// Reads headers and binds; what is wrong is noted in the result.
std::unique_ptr<Networks> bind_networks(const Source & source, const NoiseGiven & given,
                                        const Cancellation & cancellation);

// The text encoders whose hidden states, side by side, the UNet attends to.
std::vector<const ClipText *> text_encoders(const Networks & networks);

// The networks that a whole model has and that the files hold no tensor of.
std::vector<Component> absent_networks(const Networks & networks);

// Throws the Error that says why these networks do not make a model that can run; returns where they do.
void require_runnable(const Networks & networks);

} // namespace diffusion
