// What the files of a model say about the noise it was trained on, unprocessed; family/noise.h interprets it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "io/tensor_table.h"

namespace diffusion {

// Stored tables: the products of alphas (LDM), or sigmas (Stability's generative-models).
inline constexpr const char *stored_alphas = "alphas_cumprod", *stored_sigmas = "denoiser.sigmas";

// From the files of the UNet.
struct NoiseSources {
    JsonValues scheduler;            // of diffusers' scheduler_config.json
    std::string prediction;          // of GGUF or safetensors metadata
    std::vector<StoredTensor> marks; // see is_noise_mark()

    bool empty() const { return scheduler.empty() && prediction.empty() && marks.empty(); }
};

// Whether a tensor of this name describes the noise rather than being a weight: a table of levels, or an empty tensor
// that serves as a flag.
bool is_noise_mark(std::string_view name);

} // namespace diffusion
