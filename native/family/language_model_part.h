// The part of a model that is a language model, for the families whose text encoder it is.
#pragma once

#include "family/family.h"

namespace diffusion {

// `unused`: last layers that are not computed.
FamilyPart language_model_part(int64_t unused, Need need = Need::required);

} // namespace diffusion
