// Stable Diffusion 1: one text encoder, OpenAI's CLIP; attention with 8 heads.
#include "family/stable_diffusion.h"

namespace diffusion {

const Family & sd1() {
    static const Family family = {
        .name = "sd1",
        .matches =
            [](const Model & model) {
                return model.unet && model.unet->vector_size == 0 && model.unet->head_size == 0;
            },
        .parts = {text_encoder_part("text encoder", {}), unet_part(), vae_part(), tiny_autoencoder_part()},
        .absent = absent_components(),
        .variant = concat_variant,
        .require_fit = require_matching_sizes,
        .bind_control_net = bind_unet_control_net,
    };
    return family;
}

} // namespace diffusion
