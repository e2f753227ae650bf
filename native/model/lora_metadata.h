// What PEFT's metadata in a LoRA file says of its scale, which such files have no tensor for.
#pragma once

#include <map>
#include <string>

#include "io/tensor_table.h"

namespace diffusion {

// Of one component: "unet", "text_encoder" or "text_encoder_2".
struct PeftConfig {
    double alpha = 0;             // 0 where it says nothing
    bool rank_stabilized = false; // divided by the root of the rank (Kalajdzievski 2023)
};

// By component; empty where the file has no such metadata. Throws Error (model_corrupt; model_unsupported where every layer
// has an alpha of its own, or one that is no whole number).
std::map<std::string, PeftConfig> read_peft_metadata(const StoredFile & file);

} // namespace diffusion
