// The refiner of Stable Diffusion XL: only SDXL's second text encoder, conditioned on the original size, the crop's top
// left corner and an aesthetic score.
#include "family/stable_diffusion.h"

namespace diffusion {

namespace {

constexpr int64_t numbers = 5; // a size, a corner and a score

} // namespace

const Family & sdxl_refiner() {
    static const Family family = {
        .name = "sdxl-refiner",
        .matches = [](const Model & model) { return conditioning_numbers(model) == numbers; },
        .parts = {text_encoder_2_part("text encoder", {.xl = true, .pooled = true}), unet_part(), vae_part(),
                  tiny_autoencoder_part()},
        .absent = absent_components(),
        .variant = concat_variant,
        .require_fit = require_matching_sizes,
        .bind_control_net = bind_unet_control_net,
    };
    return family;
}

} // namespace diffusion
