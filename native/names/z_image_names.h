// The tensor names of Z-Image's denoiser.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace diffusion {

// The name in the published single files of a tensor under that name or diffusers' (`diffusers` then), without a prefix;
// nothing if it is neither. Queries, keys and values have names of their own, as in diffusers.
std::optional<std::string> z_image_name(std::string_view name, bool & diffusers);

// All names of a layer, without `.weight`, of which this is the first.
std::vector<std::string> z_image_spellings(std::string_view layer);

// Joint queries, keys and values of a block: what comes before and after this in their name.
inline constexpr std::string_view z_image_joint = ".attention.qkv.";

} // namespace diffusion
