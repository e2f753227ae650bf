// Tables of noise levels: the cumulative product of the alphas at each training step (Ho et al. 2020).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace diffusion {

using AlphaTable = std::vector<double>;

// Accepted numbers of training steps; all published models of Stable Diffusion have 1000.
inline constexpr int64_t least_training_steps = 50, most_training_steps = 10'000;

// The beta of each step for a schedule by diffusers' name: "scaled_linear" (linear in the square root), "linear" or
// "squaredcos_cap_v2" (Nichol and Dhariwal 2021, arXiv:2102.09672, eq. 17; ignores `start` and `end`). Empty for any
// other.
std::vector<double> betas_of(const std::string & schedule, double start, double end, int64_t steps);

AlphaTable cumulative_alphas(const std::vector<double> & betas);

// 1000 steps of "scaled_linear" from 0.00085 to 0.012.
AlphaTable stable_diffusion_alphas();

// Rescaled to zero terminal SNR (Lin et al. 2023, arXiv:2305.08891, algorithm 1), except that the last alpha stays
// above zero so that its sigma is finite: 4518.8, as in ComfyUI and AUTOMATIC1111's web UI.
AlphaTable with_zero_terminal_snr(AlphaTable alphas);

// Whether all entries satisfy |a - b| <= relative * b + absolute.
bool agree(const AlphaTable & a, const AlphaTable & b, double relative, double absolute);

// Throws Error (model_unsupported) unless the numbers are strictly decreasing, below 1, and at least that of a sigma of
// 100,000.
void check_alphas(const AlphaTable & alphas, const std::string & name);

} // namespace diffusion
