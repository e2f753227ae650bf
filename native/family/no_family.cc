// Files of no known family: parts of Stable Diffusion models, which can still be inspected, and unknown UNets.
#include "family/language_model_part.h"
#include "family/stable_diffusion.h"
#include "weights/requirements.h"

namespace diffusion {

namespace {

// A UNet of no known family differs from the others in its vector.
void refuse_unet(const Model & model) {
    if (!model.unet) return;
    throw Error(
        ErrorCode::model_unsupported,
        where(model.tensors.table) +
            ": expected a UNet of Stable Diffusion 1.x, 2.x or XL, found one with a conditioning vector of size " +
            std::to_string(model.unet->vector_size) + ", which no model of these families has.");
}

} // namespace

const Family & no_family() {
    static const Family family = {
        .name = "",
        .parts = {text_encoder_part("text encoder", {}, Need::either),
                  text_encoder_2_part("second text encoder", {.pooled = true}, Need::either),
                  language_model_part(0, Need::either), unet_part(), vae_part(), tiny_autoencoder_part()},
        .require_fit = refuse_unet,
    };
    return family;
}

} // namespace diffusion
