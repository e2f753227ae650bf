// How the tensors of tiny autoencoders are spelled: as in diffusers, or by the plain places in a sequence as in TAESD's own files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "names/names.h"

namespace diffusion {

// Prefixes of the canonical names: in place of the VAE, and beside it for previews.
inline constexpr const char * tiny_vae_prefix = "first_stage_model.tiny.";
inline constexpr const char * tiny_preview_prefix = "tiny_autoencoder.";

// The names of a file that is a tiny autoencoder; nothing where it is none. `expected` is what the file is taken for; plain
// places alone are only understood where that is one of both.
std::optional<CanonicalNames> tiny_autoencoder_names(const std::vector<std::string> & names, ModelPart expected);

} // namespace diffusion
