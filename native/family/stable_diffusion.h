// What the families of Stable Diffusion share: the binding of their networks, and the checks that these fit together.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "family/model.h"
#include "network/clip_text.h"

namespace diffusion {

// A CLIP text encoder: the first, or SDXL's second. `label` is its name in messages; binding completes `use`.
FamilyPart text_encoder_part(const char * label, ClipTextUse use, Need need = Need::required);
FamilyPart text_encoder_2_part(const char * label, ClipTextUse use, Need need = Need::required);
// The parts that all families have.
FamilyPart unet_part();
FamilyPart vae_part();
FamilyPart tiny_autoencoder_part();

// How many numbers the UNet is conditioned on in addition to the pooled text, each embedded in 256 channels; 0 if it
// takes no vector, -1 if the vector's size is not that of any family.
int64_t conditioning_numbers(const Model & model);

// "-inpaint", "-depth" or "-edit", by the number of channels concatenated to the latent; empty for none.
std::string concat_variant(const Model & model);

// Messages for a VAE without an encoder and for a model without a tiny autoencoder; see Family::absent.
std::vector<std::pair<std::string, std::string>> absent_components();

// Throws Error (model_mismatch) if text encoders, UNet and VAE do not fit together.
void require_matching_sizes(const Model & model);

// Binds a ControlNet with the same blocks as the UNet.
std::unique_ptr<ControlNet> bind_unet_control_net(const Model & model, WeightBinder & weights,
                                                  const std::string & path);

} // namespace diffusion
