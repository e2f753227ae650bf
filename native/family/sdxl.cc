// Stable Diffusion XL (Podell et al. 2023): two text encoders, conditioned on the pooled text of the second, the
// original size, the crop's top left corner and the target size.
#include "family/stable_diffusion.h"

namespace diffusion {

namespace {

constexpr int64_t numbers = 6; // two sizes and a corner

} // namespace

const Family & sdxl() {
    static const Family family = {
        .name = "sdxl",
        .matches = [](const Model & model) { return conditioning_numbers(model) == numbers; },
        .parts = {text_encoder_part("text encoder", {.xl = true}),
                  text_encoder_2_part("second text encoder", {.xl = true, .pooled = true}), unet_part(), vae_part(),
                  tiny_autoencoder_part()},
        .absent = absent_components(),
        .variant = concat_variant,
        .require_fit = require_matching_sizes,
        .bind_control_net = bind_unet_control_net,
    };
    return family;
}

} // namespace diffusion
