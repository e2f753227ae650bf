// What the components of one model say of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace diffusion {

struct TextEncoderFacts {
    std::string component; // its name
    std::string kind;      // "clip" or "openclip"
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
};

struct VaeFacts {
    int64_t latent_channels = 0;
    int64_t scale_factor = 1; // pixels along one side of a latent's cell
    bool tiny = false;        // its latents are those of the diffusion, without a factor and without variance
};

struct ModelFacts {
    std::vector<TextEncoderFacts> text_encoders; // whose hidden states, side by side, the denoiser attends to
    DenoiserFacts denoiser;
    std::map<std::string, VaeFacts> decoders; // by the name of the component
};

} // namespace diffusion
