// What the families of Stable Diffusion have in common: the binding of their networks, and what these must agree in.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "family/model.h"
#include "network/clip_text.h"

namespace diffusion {

// A text encoder of CLIP, the first or the second of SDXL. `label` stands in messages; `use` gets the rest from the files.
FamilyPart text_encoder_part(const char * label, ClipTextUse use, Need need = Need::required);
FamilyPart text_encoder_2_part(const char * label, ClipTextUse use, Need need = Need::required);
// The parts that all of them have.
FamilyPart unet_part();
FamilyPart vae_part();
FamilyPart tiny_autoencoder_part();

// The numbers beside the pooled text that the UNet is conditioned with; 0 for one that takes none. Each is embedded in 256 channels.
int64_t conditioning_numbers(const Model & model);

// "-inpaint", "-depth" or "-edit", by what the UNet takes beside the latent.
std::string concat_variant(const Model & model);

// What a model without an encoder or a tiny autoencoder lacks, in words.
std::vector<std::pair<std::string, std::string>> absent_halves();

// Throws Error (model_mismatch) where text encoders, UNet and VAE do not go together.
void require_matching_sizes(const Model & model);

// Binds a ControlNet whose blocks are those of the UNet.
std::unique_ptr<ControlNet> bind_unet_control_net(const Model & model, WeightBinder & weights,
                                                  const std::string & path);

} // namespace diffusion
