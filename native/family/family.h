// A family of models as one record: what it is recognised by, which networks it has and under which names, and what they differ in from
// those of other families. Adding a family is a file with its record and a line in families.cc.
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

// A network of a model, and which of the binder's bindings are its weights.
struct BoundComponent {
    std::string name;  // as callers name it: "vae_decoder"
    std::string label; // in messages: "VAE decoder"
    std::unique_ptr<Component> network;
    size_t first = 0, end = 0;
};

// Whether a whole model has it.
enum class Need {
    required,
    optional,
    either, // one of those marked so is enough
};

// A part of the files of a model: the tensors under a prefix, and the components that read them.
struct FamilyPart {
    ModelPart part;
    const char * kind;   // as inspections call it: "text_encoder"
    const char * prefix; // of the canonical names
    Need need = Need::required;
    // Binds its components. Called where there are tensors of the prefix; throws Error where they are those of no network that is known.
    std::function<void(Model &)> bind;
};

struct Family {
    std::string name; // as lib/native/inspection.ts lists them
    bool runs = true; // by this package
    bool (*matches)(const Model & model) = nullptr;
    std::vector<FamilyPart> parts{}; // in the order of inspections
    // What is said of a component that a model of the family may lack, by its name.
    std::vector<std::pair<std::string, std::string>> absent{};
    // Behind the name, where a model is one of several kinds: "-inpaint". Default none.
    std::string (*variant)(const Model & model) = nullptr;
    // "epsilon" or "v", where no file says it. Default "epsilon".
    std::string (*likely_prediction)(const Model & model) = nullptr;
    // Throws Error (model_mismatch) where the networks do not go together.
    void (*require_fit)(const Model & model) = nullptr;
    // A ControlNet for the model. Throws Error.
    std::unique_ptr<ControlNet> (*bind_control_net)(const Model & model, WeightBinder & weights,
                                                    const std::string & path) = nullptr;
};

// All that are recognised, in the order in which they are tried.
const std::vector<const Family *> & families();

// For files of no family: parts of models, which are still inspected.
const Family & no_family();

} // namespace diffusion
