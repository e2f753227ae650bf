// See engine.h.
#include "runtime/engine.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "backend/memory.h"
#include "weights/requirements.h"

namespace diffusion {

namespace {

// Models up to this size, packed, always keep packed weights, even if those take more memory than the file's form.
constexpr size_t small_model = size_t{256} << 20;

[[noreturn]] void invalid(const std::string & message) {
    throw Error(ErrorCode::invalid_argument, message);
}

// A model, or an image network with its tensors and weights.
struct Opened {
    std::unique_ptr<Model> model;
    std::unique_ptr<TensorTable> table;
    std::unique_ptr<WeightBinder> binder;
    std::vector<BoundComponent> components;

    const WeightBinder & weights() const { return model ? *model->weights : *binder; }
    const std::vector<BoundComponent> & bound() const { return model ? model->components : components; }
};

GraphInput graph_input(const Port * port, const Array & array) {
    GraphInput input;
    input.type = std::holds_alternative<std::vector<int32_t>>(array.values) ? GGML_TYPE_I32 : GGML_TYPE_F32;
    if (port) input.type = port->type;
    std::copy(array.shape.rbegin(), array.shape.rend(), input.ne.begin());
    input.data = std::visit([](const auto & values) -> const void * { return values.data(); }, array.values);
    return input;
}

// Fills in zeros for the ids of an estimate.
void fill_ids(const Port & port, Arrays & given) {
    const auto found = port.type == GGML_TYPE_I32 ? given.find(port.name) : given.end();
    if (found == given.end() || std::holds_alternative<std::vector<int32_t>>(found->second.values)) return;
    const auto & shape = found->second.shape;
    const auto n = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    found->second.values = std::vector<int32_t>(static_cast<size_t>(n));
}

// A checked evaluation, ready for the runner.
struct Prepared {
    size_t component = 0;
    std::string variant; // distinguishes its graph from others of the component
    Settings settings;
    Arrays given, derived;
    std::vector<std::string> names; // of the inputs
    std::vector<GraphInput> inputs;
    std::vector<Control> controls;
    std::vector<const PlacedWeights *> control_weights;
};

} // namespace

struct Engine::Impl {
    Impl(Opened opened, const EngineOptions & options, const Cancellation & cancellation)
        : on_log(options.on_log), files(std::move(opened)), device(options.device, options.threads, options.precision),
          runner(device, options.profile ? &profile.emplace() : nullptr),
          residency(files.weights(), files.bound(), device, runner, options.placement, options.residency),
          lora_sets(files.weights(), device.backends().back()) {
        for (const BoundComponent & component : files.bound()) {
            signatures.push_back(component.network->signature());
            if (!signatures.back().takes_controls || !files.model->family->bind_control_net) continue;
            control_nets.emplace(*files.model, device, runner, component.label, options.placement);
        }
        if (device.cpu()) pack_weights();
        if (device.is_exact()) compute.precision = "f32";
        residency.open(options.on_progress, cancellation);
        compute.device = options.device;
        compute.threads = options.threads;
        for (size_t i = 0; i < files.bound().size(); i++) {
            const WeightBytes bytes = residency.weight_bytes(i);
            compute.mapped_bytes += bytes.mapped;
            compute.allocated_bytes += bytes.allocated;
        }
    }

    ~Impl() { runner.forget_all(); } // graphs read weights

    void pack_weights() {
        int64_t numbers = 0;
        for (const auto & binding : files.weights().bindings()) numbers += ggml_nelements(binding.tensor);
        PackedWeights & packed = device.cpu()->weights;
        packed.keep_all = numbers * device.cpu()->kernels.operand_size <= small_model;
        packed.on_packed = [this](Tensor tensor) {
            const StoredTensor * stored = residency.in_file(tensor);
            if (!stored && control_nets) stored = control_nets->in_file(tensor);
            if (stored) release_mapped(stored->in_file().data, stored->in_file().n_bytes);
        };
        compute.precision = ggml_type_name(device.cpu()->kernels.operand);
    }

    size_t find(const std::string & name) const {
        const auto & bound = files.bound();
        const auto found = std::ranges::find(bound, name, &BoundComponent::name);
        if (found != bound.end()) return found - bound.begin();
        if (files.model) {
            for (const auto & [absent, message] : files.model->family->absent) {
                if (absent == name) throw Error(ErrorCode::model_incomplete, message);
            }
        }
        std::string names;
        for (const BoundComponent & component : bound) names += (names.empty() ? "" : ", ") + component.name;
        invalid("component: expected " + names + ", received " + name.substr(0, 64) + ".");
    }

    // Adds the ControlNets of a call to its inputs.
    std::vector<Port> add_controls(Prepared & p, const CallOptions & options) const {
        std::vector<Port> ports;
        if (options.controls.empty()) return ports;
        if (!control_nets || !signatures[p.component].takes_controls)
            invalid("controls: this component does not accept ControlNets.");
        for (const ControlCall & call : options.controls) {
            if (!std::isfinite(call.strength)) invalid("strength: expected a finite number.");
            const ControlNets::Entry & entry = control_nets->find(call.net);
            const std::string prefix = "controls[" + std::to_string(p.controls.size()) + "].";
            p.controls.push_back({entry.net.get(), prefix});
            p.control_weights.push_back(entry.placed.get());
            p.variant += std::to_string(entry.serial) + ' ';
            p.given[prefix + "hint"] = call.hint;
            p.given[prefix + "strength"] = {{1}, std::vector<float>{call.strength}};
            for (Port port : entry.net->inputs()) {
                port.name = prefix + port.name;
                ports.push_back(std::move(port));
            }
        }
        return ports;
    }

    Prepared prepare(const std::string & component, Arrays inputs, const CallOptions & options) const {
        Prepared p;
        p.component = find(component);
        const Signature & signature = signatures[p.component];
        p.settings = check_settings(signature.settings, options.settings);
        p.variant = std::string(options.tileable.x ? "x" : "") + (options.tileable.y ? "y" : "") + ' ';
        for (const auto & [name, value] : p.settings) p.variant += std::to_string(value) + ' ';
        p.given = std::move(inputs);
        std::vector<Port> ports = signature.inputs;
        for (Port & port : add_controls(p, options)) ports.push_back(std::move(port));
        check_inputs(ports, signature.outputs, p.given);
        for (const Port & port : ports) fill_ids(port, p.given);
        p.derived = files.bound()[p.component].network->derived(p.given);
        const auto add = [&](const std::string & name, const Array & array) {
            const auto port = std::ranges::find(ports, name, &Port::name);
            p.names.push_back(name);
            p.inputs.push_back(graph_input(port == ports.end() ? nullptr : &*port, array));
            p.variant += name + ' ';
        };
        for (const auto & [name, array] : p.given) {
            if (!p.derived.contains(name)) add(name, array);
        }
        for (const auto & [name, array] : p.derived) add(name, array);
        return p;
    }

    Runner::Build build_of(const Prepared & p, const CallOptions & options) const {
        return [this, &p, &options](Layers & layers, std::span<const Tensor> in) {
            layers.set_tileable(options.tileable);
            std::map<std::string, Tensor> named;
            for (size_t i = 0; i < in.size(); i++) named[p.names[i]] = in[i];
            const GraphInputs inputs(std::move(named));
            return files.bound()[p.component].network->build(layers, {inputs, p.settings, p.controls});
        };
    }

    void check_unchanged(const Prepared & p) const {
        for (const PlacedWeights * weights : p.control_weights) weights->check_unchanged();
        residency.check_unchanged(p.component);
    }

    void collect() {
        lora_sets.collect();
        if (control_nets) control_nets->collect();
    }

    // In the order of construction: each uses those before it.
    LogSink on_log;
    Opened files;
    std::optional<Profile> profile;
    Device device;
    Runner runner;
    Residency residency;
    LoraSets lora_sets;
    std::optional<ControlNets> control_nets;
    std::vector<Signature> signatures; // of the components
    ComputeInfo compute;
    Info info;
};

std::unique_ptr<Engine> Engine::open(const Source & source, const NoiseGiven & given, const EngineOptions & options,
                                     const Cancellation & cancellation) {
    const LogScope scope(options.on_log);
    Opened opened;
    opened.model = bind_model(source, given, cancellation, options.types);
    require_runnable(*opened.model);
    for (const std::string & warning : opened.model->noise->warnings) log_warning(warning);
    auto impl = std::make_unique<Impl>(std::move(opened), options, cancellation);
    const Model & model = *impl->files.model;
    impl->info = ModelInfo{
        model.family_name, *model.noise, model.parts, model.facts, model.tensors.table.files().front().metadata,
        impl->compute};
    return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

std::unique_ptr<Engine> Engine::open_image_network(const std::string & path, const EngineOptions & options,
                                                   const Cancellation & cancellation) {
    const LogScope scope(options.on_log);
    Opened opened;
    const TensorTable table = TensorTable::open(depth_estimator_file(path), cancellation);
    opened.table = std::make_unique<TensorTable>(canonical_image_network(table));
    opened.binder = std::make_unique<WeightBinder>(*opened.table);
    std::unique_ptr<ImageNetwork> network = bind_image_network(*opened.binder);
    require_sound(*opened.binder);
    ImageNetworkInfo info{network->kind()};
    for (const StoredTensor & tensor : opened.table->tensors()) info.parameters += tensor.n_elements();
    opened.components.push_back({info.kind, info.kind, std::move(network), 0, opened.binder->bindings().size()});
    auto impl = std::make_unique<Impl>(std::move(opened), options, cancellation);
    info.compute = impl->compute;
    impl->info = std::move(info);
    return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() {
    impl_.reset();
    return_freed_memory();
}

const Engine::Info & Engine::info() const {
    return impl_->info;
}

std::vector<ComponentInfo> Engine::components() const {
    std::vector<ComponentInfo> components;
    for (size_t i = 0; i < impl_->signatures.size(); i++) {
        const BoundComponent & bound = impl_->files.bound()[i];
        components.push_back({bound.name, bound.label, impl_->compute.device, impl_->signatures[i]});
    }
    return components;
}

std::map<std::string, std::vector<float>> Engine::evaluate(const std::string & component, Arrays inputs,
                                                           const CallOptions & options,
                                                           const Cancellation & cancellation) {
    Impl & e = *impl_;
    const LogScope scope(e.on_log);
    e.collect();
    const Prepared p = e.prepare(component, std::move(inputs), options);
    e.residency.prepare(p.component, e.lora_sets.find(options.loras), cancellation);
    e.check_unchanged(p);
    auto results = e.runner.run(e.files.bound()[p.component].label, p.variant, p.inputs, e.build_of(p, options),
                                cancellation, options.on_progress);
    e.check_unchanged(p);
    e.residency.settle(p.component);
    std::map<std::string, std::vector<float>> outputs;
    for (size_t i = 0; i < results.size(); i++) {
        outputs[e.signatures[p.component].outputs[i].name] = std::move(results[i]);
    }
    return outputs;
}

ComponentMemory Engine::estimate(const std::string & component, Arrays inputs, const CallOptions & options) {
    Impl & e = *impl_;
    const LogScope scope(e.on_log);
    e.collect();
    const Prepared p = e.prepare(component, std::move(inputs), options);
    e.lora_sets.find(options.loras); // only checked: the memory that they add is not known beforehand
    return e.residency.measure(p.component, p.variant, p.inputs, e.build_of(p, options));
}

void Engine::load(const std::string & component, const Cancellation & cancellation) {
    const LogScope scope(impl_->on_log);
    impl_->residency.load(impl_->find(component), cancellation);
}

void Engine::set_residency(ResidencyPolicy policy) {
    impl_->residency.set_policy(policy);
}

void Engine::unload(const std::string & component) {
    impl_->residency.unload(impl_->find(component));
}

std::vector<ComponentMemory> Engine::memory() {
    impl_->collect();
    std::vector<ComponentMemory> memory;
    for (size_t i = 0; i < impl_->signatures.size(); i++) memory.push_back(impl_->residency.memory(i));
    return memory;
}

LoraSets::Opened Engine::open_loras(const std::vector<LoraFile> & files, bool all, const Cancellation & cancellation) {
    const LogScope scope(impl_->on_log);
    impl_->collect();
    return impl_->lora_sets.open(files, all, cancellation);
}

Handle Engine::open_control_net(const std::string & path, const Cancellation & cancellation) {
    const LogScope scope(impl_->on_log);
    impl_->collect();
    if (!impl_->control_nets) invalid("path: no component of this model accepts ControlNets.");
    return impl_->control_nets->open(path, cancellation);
}

void Engine::collect() {
    impl_->collect();
}

std::vector<ProfileEntry> Engine::profile() const {
    return impl_->profile ? impl_->profile->entries() : std::vector<ProfileEntry>();
}

} // namespace diffusion
