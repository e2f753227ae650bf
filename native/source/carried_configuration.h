// What the configuration files of a diffusers folder say of a model, carried in the metadata of a single file.
#pragma once

#include <map>
#include <string>

#include "io/json.h"
#include "source/source.h"

namespace diffusion {

using Metadata = std::map<std::string, std::string>;

// Keys and values for a file that holds all of `model`: its scheduler's configuration, the activation of text encoders of OpenCLIP, and
// what its UNet predicts.
Metadata carried_configuration(const ModelTensors & model);

// The scheduler's configuration in the metadata of these files; empty where there is none. Throws Error (model_corrupt).
JsonValues carried_scheduler(const TensorTable & table);

bool is_carried_open_clip(const TensorTable & table, ModelPart component);

// What the metadata of these files says that the UNet predicts; empty where it says nothing.
std::string metadata_prediction(const TensorTable & table);

} // namespace diffusion
