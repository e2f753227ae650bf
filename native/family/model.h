// The networks of one model, bound to the tensors of its files by the record of its family, and what is wrong with them.
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
    std::optional<UnetConfig> unet;  // of the UNet that is in the files, where it is one that this package reads
    const Family * family = nullptr; // no_family() where none is recognised
    std::string family_name;         // with the variant; empty where none is recognised
    std::vector<BoundComponent> components;
    ModelFacts facts;
    std::optional<Noise> noise; // where it is of a kind that this package has
    std::vector<PartInfo> parts;
    std::vector<std::string> problems; // what no network of this package has or does
    std::vector<std::string> unused;

    bool has(const std::string & prefix) const; // tensors with such names

    // Adds the component that `make(weights)` binds.
    template <typename Make> void add(const char * name, const char * label, Make make) {
        BoundComponent bound{name, label, nullptr, weights->bindings().size(), 0};
        bound.network = make(*weights);
        bound.end = weights->bindings().size();
        components.push_back(std::move(bound));
    }
};

// Reads headers and binds; what is wrong is noted in the result.
std::unique_ptr<Model> bind_model(const Source & source, const NoiseGiven & given, const Cancellation & cancellation);

// The parts that a whole model has and that the files hold no tensor of.
std::vector<const FamilyPart *> absent_parts(const Model & model);

// Throws the Error that says why these networks do not make a model that can run; returns where they do.
void require_runnable(const Model & model);

} // namespace diffusion
