// The noise that a model was trained with, its levels and what the UNet predicts of it, from what the files say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "source/noise_sources.h"

namespace diffusion {

// What the user says, where files say nothing or say it wrong.
struct NoiseGiven {
    std::string prediction; // "epsilon", "v", or empty
    std::optional<bool> zero_terminal_snr;
};

struct Noise {
    // What the UNet predicts: "epsilon" or "v"; empty where nothing says it.
    std::string prediction;
    // Where the levels come from: a beta schedule in diffusers' words, "trained_betas", or the name of a tensor.
    std::string schedule = "scaled_linear";
    int64_t steps = 1000; // of training
    bool zero_terminal_snr = false;
    // How diffusers' scheduler would choose its steps: "leading", "trailing", "linspace", "karras", "exponential", "beta", or empty.
    std::string spacing;
    // Product of the alphas up to each step, falling, above 0 and below 1; empty for those of Stable Diffusion.
    std::vector<double> alphas_cumprod;
    std::vector<std::string> warnings;
};

// Throws Error (model_unsupported) for noise of another kind than that of Stable Diffusion, and for tables and configurations that
// say nothing sound.
Noise read_noise(const NoiseSources & sources, const NoiseGiven & given);

} // namespace diffusion
