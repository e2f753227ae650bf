// Stable Diffusion 3, which is recognised but not supported.
#include "family/model.h"

namespace diffusion {

const Family & sd3() {
    static const Family family = {
        .name = "sd3",
        .runs = false,
        .matches =
            [](const Model & model) {
                return model.has(std::string(unet_prefix) + "joint_blocks.") || model.has("joint_blocks.");
            },
        .parts = no_family().parts,
    };
    return family;
}

} // namespace diffusion
