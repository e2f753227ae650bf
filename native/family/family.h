// A family of models as one record: how it is recognised, which networks it has under which names, and how they differ
// from those of other families. To add a family, add a file with its record and a line in families.cc.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "names/names.h"
#include "network/component.h"
#include "weights/weight_binder.h"

namespace diffusion {

class ControlNet;
struct Model;

// A network of a model, and the range of the binder's bindings that are its weights.
struct BoundComponent {
    std::string name;  // as callers name it: "vae_decoder"
    std::string label; // in messages: "VAE decoder"
    std::unique_ptr<Component> network;
    size_t first = 0, end = 0;
};

// Whether a complete model has it.
enum class Need {
    required,
    optional,
    either, // at least one of the parts with this value
};

// A part of a model's files: the tensors with a prefix, and the components that read them.
struct FamilyPart {
    ModelPart part;
    const char * kind;   // its name in inspections: "text_encoder"
    const char * prefix; // of the canonical names
    Need need = Need::required;
    // Binds its components. Called if there are tensors with the prefix. Throws Error if they are not those of a known
    // network.
    std::function<void(Model &)> bind;
};

struct Family {
    std::string name;  // see lib/native/inspection.ts
    bool runs = true;  // false: recognised only
    bool flow = false; // trained with flow matching rather than diffusion
    bool (*matches)(const Model & model) = nullptr;
    std::vector<FamilyPart> parts{}; // in the order that inspections list them
    // By the name of a component that a model of the family may lack: the message for its absence.
    std::vector<std::pair<std::string, std::string>> absent{};
    // Suffix of the name, such as "-inpaint". Default none.
    std::string (*variant)(const Model & model) = nullptr;
    // The prediction type if no file says it: "epsilon" or "v". Default "epsilon".
    std::string (*likely_prediction)(const Model & model) = nullptr;
    // Throws Error (model_mismatch) if the networks do not fit together.
    void (*require_fit)(const Model & model) = nullptr;
    // A ControlNet for the model. Throws Error.
    std::unique_ptr<ControlNet> (*bind_control_net)(const Model & model, WeightBinder & weights,
                                                    const std::string & path) = nullptr;
};

// All families, in the order in which they are tried.
const std::vector<const Family *> & families();

// For files of no known family: parts of models, which can still be inspected.
const Family & no_family();

} // namespace diffusion
