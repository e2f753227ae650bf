// The interface of a network: declared, named inputs and outputs, and the graph between them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "graph/layers.h"
#include "network/signature.h"

namespace diffusion {

class ControlNet;
struct ModelFacts;

using ConfigValue = std::variant<int64_t, bool, std::string, std::vector<int64_t>>;
using Config = std::map<std::string, ConfigValue>;

// The inputs of a graph by name.
class GraphInputs {
public:
    explicit GraphInputs(std::map<std::string, Tensor> tensors) : tensors_(std::move(tensors)) {}
    // nullptr if it is not given.
    Tensor operator[](const std::string & name) const {
        const auto found = tensors_.find(name);
        return found == tensors_.end() ? nullptr : found->second;
    }

private:
    std::map<std::string, Tensor> tensors_;
};

// A ControlNet that conditions an evaluation, and the prefix of its input names.
struct Control {
    const ControlNet * net = nullptr;
    std::string prefix;
};

// The inputs, settings and ControlNets that a graph is built for.
struct Evaluation {
    const GraphInputs & inputs;
    const Settings & settings; // all declared settings
    std::span<const Control> controls;
};

class Component {
public:
    virtual ~Component() = default;
    virtual Signature signature() const = 0;
    // Inputs of the graph that replace or extend the given ones, computed from their shapes and the values of ids.
    virtual Arrays derived(const Arrays &) const { return {}; }
    // The declared outputs, in that order, with ggml's order of dimensions.
    virtual std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const = 0;

    // The sizes read from tensor shapes, for inspections.
    virtual Config config() const { return {}; }
    // Adds the facts about a model that has this as its component `name`.
    virtual void describe(const std::string & name, ModelFacts & facts) const { (void)name, (void)facts; }
};

} // namespace diffusion
