// The noise that a model was trained with: its levels, and what the UNet predicts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "source/noise_sources.h"

namespace diffusion {

// The user's settings, which take precedence over what the files say.
struct NoiseGiven {
    std::string prediction; // "epsilon", "v", or empty
    std::optional<bool> zero_terminal_snr;
    std::optional<double> shift; // of flow matching
};

struct Noise {
    // What the denoiser predicts: "epsilon", "v" or "flow"; empty if neither files nor user say it.
    std::string prediction;
    // The source of the levels: a beta schedule by diffusers' name, "trained_betas", or the name of a tensor.
    std::string schedule = "scaled_linear";
    int64_t steps = 1000; // training steps
    bool zero_terminal_snr = false;
    // Timestep spacing of diffusers' scheduler: "leading", "trailing", "linspace", "karras", "exponential", "beta", or
    // empty.
    std::string spacing;
    // Cumulative product of the alphas at each step, strictly decreasing, above 0 and below 1; empty for that of Stable
    // Diffusion.
    std::vector<double> alphas_cumprod;
    // Of flow matching, if files or user say it: the shift of the levels towards noise.
    std::optional<double> shift;
    std::vector<std::string> warnings;
};

// Throws Error (model_unsupported) for noise of another kind than Stable Diffusion's, and for invalid tables and
// configurations.
Noise read_noise(const NoiseSources & sources, const NoiseGiven & given);

// That of a model of flow matching. Throws Error (invalid_argument) for settings of other models.
Noise read_flow_noise(const NoiseSources & sources, const NoiseGiven & given);

} // namespace diffusion
