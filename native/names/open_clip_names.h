// Maps OpenCLIP's tensor names of a text encoder to those of transformers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace diffusion {

// `name` has no prefix: "transformer.resblocks.0.ln_1.weight". Nothing if it is not one of OpenCLIP's. Queries, keys
// and values are one tensor there: `self_attn.in_proj_weight` and `self_attn.in_proj_bias`, which transformers does not
// have. `text_projection` keeps its name: it is the transpose of transformers' `text_projection.weight`.
std::optional<std::string> from_open_clip(std::string_view name);

} // namespace diffusion
