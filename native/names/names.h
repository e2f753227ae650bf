// The one place that knows the tensor names of models. The canonical names are those of the original (LDM)
// checkpoints; those of diffusers, and the prefixes that tools add to either, are mapped to them. Text encoders have
// transformers' names after the original's prefix, whatever the original's own are.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace diffusion {

// `none` if a tensor belongs to no known component. The second text encoder is SDXL's, the only one of its refiner.
// `unet` is the denoiser, whatever its architecture.
enum class ModelPart { none, unet, text_encoder, text_encoder_2, language_model, vae, control_net, tiny_autoencoder };
inline constexpr size_t part_count = 8;

const char * part_name(ModelPart component); // for messages: "UNet", "text encoder", "VAE"

// Prefixes of the canonical names.
inline constexpr const char * unet_prefix = "model.diffusion_model.";
inline constexpr const char * vae_prefix = "first_stage_model.";
inline constexpr const char * control_prefix = "control_model.";
inline constexpr const char * text_prefix = "cond_stage_model.transformer.text_model.";
inline constexpr const char * text_2_prefix = "conditioner.embedders.1.transformer.text_model.";
inline constexpr const char * language_prefix = "text_encoders.llm.";

struct CanonicalNames {
    // In the order and number of the given names. A tensor without a known place keeps its own name.
    std::vector<std::string> names;
    std::vector<ModelPart> components;
    std::array<bool, part_count> open_clip = {}; // by ModelPart: a text encoder with OpenCLIP's names
    std::string layout; // "ldm" or "diffusers", whichever names more of the tensors; empty if none is known
};

// Names the tensors of one file. Names without a prefix are recognized if the file has some that identify a component
// (`down_blocks.`, `encoder.down.`, ...), or, if the caller knows the component of the file, by that.
CanonicalNames canonical_names(const std::vector<std::string> & names, ModelPart expected = ModelPart::none);

// OpenCLIP's transposed projection, at the end of its canonical name.
inline constexpr std::string_view open_clip_projection = ".transformer.text_projection";

// The name that converted files of several parts have for a tensor: the canonical one, except for that projection,
// which other programs only know by OpenCLIP's name.
std::string converted_name(std::string canonical_name);

// True for a tensor, by its canonical name, that ordinary checkpoints include and that is not needed: buffers of the
// training schedule, averaged copies of the weights, the VAE's discriminator, the vision half of CLIP, ...
bool ignorable(std::string_view canonical_name);

} // namespace diffusion
