// What the files of a model say of the noise that it was trained with, as they say it; family/noise.h makes sense of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "io/tensor_table.h"

namespace diffusion {

// Tables that are stored: the products of alphas (LDM), or sigmas (Stability's generative-models).
inline constexpr const char *stored_alphas = "alphas_cumprod", *stored_sigmas = "denoiser.sigmas";

// What the files that the UNet comes from say.
struct NoiseSources {
    JsonValues scheduler;            // of diffusers' scheduler_config.json
    std::string prediction;          // of GGUF or safetensors metadata
    std::vector<StoredTensor> marks; // see is_noise_mark()

    bool empty() const { return scheduler.empty() && prediction.empty() && marks.empty(); }
};

// A tensor, by its name, that no network reads and that says something of the noise: a table of levels, or an empty one whose
// name is all that it says.
bool is_noise_mark(std::string_view name);

} // namespace diffusion
