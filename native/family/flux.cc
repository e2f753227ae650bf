// FLUX, which is recognised but not supported.
#include "family/model.h"

namespace diffusion {

const Family & flux() {
    static const Family family = {
        .name = "flux",
        .runs = false,
        .matches =
            [](const Model & model) {
                return model.has(std::string(unet_prefix) + "double_blocks.") || model.has("double_blocks.");
            },
        .parts = no_family().parts,
    };
    return family;
}

} // namespace diffusion
