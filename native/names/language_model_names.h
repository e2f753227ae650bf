// The tensor names of language models.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace diffusion {

// The name in transformers, without the `model.` before it, of a tensor under that name or llama.cpp's; nothing if it is
// neither.
std::optional<std::string> language_model_name(std::string_view name);

} // namespace diffusion
