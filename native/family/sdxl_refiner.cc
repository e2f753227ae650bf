// The refiner of Stable Diffusion XL: SDXL's second text encoder alone, and one size, a place and a score.
#include "family/stable_diffusion.h"

namespace diffusion {

namespace {

constexpr int64_t numbers = 5;

} // namespace

const Family & sdxl_refiner() {
    static const Family family = {
        .name = "sdxl-refiner",
        .matches = [](const Model & model) { return conditioning_numbers(model) == numbers; },
        .parts = {text_encoder_2_part("text encoder", {.xl = true, .pooled = true}), unet_part(), vae_part(),
                  tiny_autoencoder_part()},
        .absent = absent_halves(),
        .variant = concat_variant,
        .require_fit = require_matching_sizes,
        .bind_control_net = bind_unet_control_net,
    };
    return family;
}

} // namespace diffusion
