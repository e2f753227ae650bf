// The list of the families.
#include "family/family.h"

namespace diffusion {

const Family & flux();
const Family & sd3();
const Family & sd1();
const Family & sd2();
const Family & sdxl();
const Family & sdxl_refiner();
const Family & z_image();

const std::vector<const Family *> & families() {
    static const std::vector<const Family *> all = {&flux(), &sd3(),  &z_image(),     &sd1(),
                                                    &sd2(),  &sdxl(), &sdxl_refiner()};
    return all;
}

} // namespace diffusion
