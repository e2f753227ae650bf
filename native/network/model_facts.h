// Facts about a model, collected from its components.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace diffusion {

struct TextEncoderFacts {
    std::string component; // its name
    std::string kind;      // "clip", "openclip" or "qwen3"
    int64_t positions = 0;
    int64_t vocabulary = 0;
    int64_t layers = 0;
    int64_t width = 0;
    int64_t projection = 0;
    int64_t clip_skip = 0;
};

struct DenoiserFacts {
    int64_t in_channels = 0, out_channels = 0;
    int64_t context_size = 0;
    int64_t vector_size = 0;
    int64_t guidance_size = 0;
    bool middle_attention = false;
    int64_t latent_multiple = 1; // sides of latents are multiples of it
};

struct VaeFacts {
    int64_t latent_channels = 0;
    int64_t scale_factor = 1; // from the latent to the image
    bool tiny = false;        // uses latents as the UNet sees them: no scaling factor, no variance
};

struct ModelFacts {
    std::vector<TextEncoderFacts> text_encoders; // the denoiser attends to their concatenated hidden states
    DenoiserFacts denoiser;
    std::map<std::string, VaeFacts> decoders; // by component name
};

} // namespace diffusion
