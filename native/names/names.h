// The one place that knows how the tensors of Stable Diffusion are spelled. Canonical are the names of the original
// (LDM) checkpoints; those of diffusers, and the prefixes that tools put before either, are turned into them. Text encoders
// have the names of transformers behind the original's prefix, whatever the original's own are.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace diffusion {

// `none` where a tensor belongs to no component that is known. The second text encoder is that of SDXL, which its refiner has
// alone.
enum class ModelPart { none, unet, text_encoder, text_encoder_2, vae, control_net, tiny_autoencoder };
inline constexpr size_t part_count = 7;

const char * part_name(ModelPart component); // for messages: "UNet", "text encoder", "VAE"

// Prefixes of the canonical names.
inline constexpr const char * unet_prefix = "model.diffusion_model.";
inline constexpr const char * vae_prefix = "first_stage_model.";
inline constexpr const char * control_prefix = "control_model.";
inline constexpr const char * text_prefix = "cond_stage_model.transformer.text_model.";
inline constexpr const char * text_2_prefix = "conditioner.embedders.1.transformer.text_model.";

struct CanonicalNames {
    // As long as the names that were given, and in their order. A tensor of no known place keeps its own name.
    std::vector<std::string> names;
    std::vector<ModelPart> components;
    std::array<bool, part_count> open_clip = {}; // by ModelPart: a text encoder in the names of OpenCLIP
    std::string layout; // "ldm" or "diffusers", whichever spells more of the tensors; empty where none is known
};

// Names the tensors of one file. Names without a prefix are recognised where the file has some that only one component
// has (`down_blocks.`, `encoder.down.`, ...), or, where the caller knows the component of the file, by that.
CanonicalNames canonical_names(const std::vector<std::string> & names, ModelPart expected = ModelPart::none);

// True for a tensor, by its canonical name, that ordinary checkpoints carry and that drawing needs no more: buffers of
// the training schedule, averaged copies of the weights, the discriminator of the VAE, the vision half of CLIP, ...
bool ignorable(std::string_view canonical_name);

} // namespace diffusion
