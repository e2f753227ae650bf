// What a diffusers folder's configuration files say about a model, stored in the metadata of a single file.
#pragma once

#include <map>
#include <string>

#include "io/json.h"
#include "source/source.h"

namespace diffusion {

using Metadata = std::map<std::string, std::string>;

// Keys and values for a file with all of `model`: its scheduler configuration, the activation of OpenCLIP text
// encoders, and its UNet's prediction type.
Metadata carried_configuration(const ModelTensors & model);

// The scheduler configuration in the metadata of these files; empty if there is none. Throws Error (model_corrupt).
JsonValues carried_scheduler(const TensorTable & table);

bool is_carried_open_clip(const TensorTable & table, ModelPart component);

// The UNet's prediction type from the metadata of these files; empty if they do not say.
std::string metadata_prediction(const TensorTable & table);

} // namespace diffusion
