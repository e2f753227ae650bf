// The tensor names of tiny autoencoders: as in diffusers, or by index in a sequence as in TAESD's own files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "names/names.h"

namespace diffusion {

// Prefixes of the canonical names: in place of the VAE, and in addition to it for previews.
inline constexpr const char * tiny_vae_prefix = "first_stage_model.tiny.";
inline constexpr const char * tiny_preview_prefix = "tiny_autoencoder.";

// The names of a file that is a tiny autoencoder; nothing if it is not. `expected` is the assumed content of the file;
// bare indices are only recognized if that is one of the two.
std::optional<CanonicalNames> tiny_autoencoder_names(const std::vector<std::string> & names, ModelPart expected);

} // namespace diffusion
