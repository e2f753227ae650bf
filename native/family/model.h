// The networks of one model, bound to the tensors of its files as its family's record says, and the problems found.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "family/family.h"
#include "family/noise.h"
#include "network/model_facts.h"
#include "network/unet.h"
#include "source/file_kind.h"
#include "source/source.h"
#include "weights/type_choice.h"

namespace diffusion {

// A part of a model, for inspections.
struct PartInfo {
    std::string kind; // see FamilyPart
    int64_t parameters = 0;
    int64_t n_bytes = 0;
    std::map<std::string, int64_t> types;
    Config config;
};

struct Model {
    ModelTensors tensors;
    std::unique_ptr<WeightBinder> weights;
    FileKind kind = FileKind::unknown;
    std::optional<UnetConfig> unet;  // if the files have a supported UNet
    const Family * family = nullptr; // no_family() if none is recognised
    std::string family_name;         // with the variant; empty if none is recognised
    std::vector<BoundComponent> components;
    ModelFacts facts;
    std::optional<Noise> noise; // if it is of a supported kind
    std::vector<PartInfo> parts;
    std::vector<std::string> problems; // why it is not supported
    std::vector<std::string> unused;   // tensors

    bool has(const std::string & prefix) const; // a tensor whose name has this prefix

    // Adds the component that `make(weights)` binds.
    template <typename Make> void add(const char * name, const char * label, Make make) {
        BoundComponent bound{name, label, nullptr, weights->bindings().size(), 0};
        bound.network = make(*weights);
        bound.end = weights->bindings().size();
        components.push_back(std::move(bound));
    }
};

// Reads headers and binds the networks; problems are noted in the result.
// `types`: what tensors are converted to when they are loaded.
std::unique_ptr<Model> bind_model(const Source & source, const NoiseGiven & given, const Cancellation & cancellation,
                                  const TypeRequest & types = {});

// The parts that a complete model has and that have no tensor in the files.
std::vector<const FamilyPart *> absent_parts(const Model & model);

// Throws Error, with the reason, if the model cannot be run.
void require_runnable(const Model & model);

} // namespace diffusion
