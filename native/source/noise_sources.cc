// See noise_sources.h.
#include "source/noise_sources.h"

#include <algorithm>

namespace diffusion {

bool is_noise_mark(std::string_view name) {
    constexpr std::string_view names[] = {"v_pred", "ztsnr", "edm_mean", "edm_std", stored_alphas, stored_sigmas};
    return std::ranges::find(names, name) != std::end(names) || name.starts_with("edm_vpred.");
}

} // namespace diffusion
