// Tables of noise levels: the product of the alphas up to each training step (Ho et al. 2020), from betas or as they are stored.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace diffusion {

using AlphaTable = std::vector<double>;

// Numbers of training steps that tables may have; all published models of Stable Diffusion have 1000.
inline constexpr int64_t least_training_steps = 50, most_training_steps = 10'000;

// The beta of each step by a schedule in diffusers' words, "scaled_linear" (linear in the square root), "linear" or
// "squaredcos_cap_v2" (Nichol and Dhariwal 2021, arXiv:2102.09672, eq. 17, which takes no ends); empty for any other.
std::vector<double> betas_of(const std::string & schedule, double start, double end, int64_t steps);

AlphaTable cumulative_alphas(const std::vector<double> & betas);

// 1000 steps of "scaled_linear" from 0.00085 to 0.012.
AlphaTable stable_diffusion_alphas();

// Rescaled so that the last step is noise alone (Lin et al. 2023, arXiv:2305.08891, algorithm 1), but for a trace that keeps its
// sigma finite, 4518.8, as in ComfyUI and AUTOMATIC1111's web UI.
AlphaTable with_zero_terminal_snr(AlphaTable alphas);

// Whether each entry is the other's but for rounding: by at most `relative` of it and `absolute`.
bool agree(const AlphaTable & a, const AlphaTable & b, double relative, double absolute);

// Throws Error (model_unsupported) unless the numbers fall strictly, from below 1 to no less than what a sigma of 100,000 has.
void check_alphas(const AlphaTable & alphas, const std::string & name);

} // namespace diffusion
