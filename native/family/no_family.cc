// Files of no family: parts of models of Stable Diffusion, which are still inspected, and UNets of an unknown kind.
#include "family/stable_diffusion.h"
#include "weights/requirements.h"

namespace diffusion {

namespace {

// A UNet that is none of any family takes numbers that none takes.
void refuse_unet(const Model & model) {
    if (!model.unet) return;
    throw Error(ErrorCode::model_unsupported,
                where(model.tensors.table) +
                    ": expected a UNet of Stable Diffusion 1.x, 2.x or XL, found one that adds " +
                    std::to_string(model.unet->vector_size) +
                    " numbers to its timesteps, which no model of these families does.");
}

} // namespace

const Family & no_family() {
    static const Family family = {
        .name = "",
        .parts = {text_encoder_part("text encoder", {}, Need::either),
                  text_encoder_2_part("second text encoder", {.pooled = true}, Need::either), unet_part(), vae_part(),
                  tiny_autoencoder_part()},
        .require_fit = refuse_unet,
    };
    return family;
}

} // namespace diffusion
