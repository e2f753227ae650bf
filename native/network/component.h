// A network as whoever evaluates it sees it: named inputs and outputs, which it declares, and the graph between them.
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

// The inputs of a graph by their names.
class GraphInputs {
public:
    explicit GraphInputs(std::map<std::string, Tensor> tensors) : tensors_(std::move(tensors)) {}
    // nullptr where it is not given.
    Tensor operator[](const std::string & name) const {
        const auto found = tensors_.find(name);
        return found == tensors_.end() ? nullptr : found->second;
    }

private:
    std::map<std::string, Tensor> tensors_;
};

// A ControlNet that conditions an evaluation, and what stands before the names of its inputs.
struct Control {
    const ControlNet * net = nullptr;
    std::string prefix;
};

// What a graph is built for.
struct Evaluation {
    const GraphInputs & inputs;
    const Settings & settings; // all that are declared
    std::span<const Control> controls;
};

class Component {
public:
    virtual ~Component() = default;
    virtual Signature signature() const = 0;
    // What the graph reads in place of the inputs, or beside them: computed from their shapes and, of ids, their values.
    virtual Arrays derived(const Arrays &) const { return {}; }
    // The outputs, as declared and in their order. In ggml's order of sides.
    virtual std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const = 0;

    // The sizes read from its shapes, for people.
    virtual Config config() const { return {}; }
    // Adds what a model of which this is the component `name` is.
    virtual void describe(const std::string & name, ModelFacts & facts) const { (void)name, (void)facts; }
};

} // namespace diffusion
