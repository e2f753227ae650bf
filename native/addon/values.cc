// Creates JavaScript values from the engine's.
#include "addon/values.h"

#include "addon/environment.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

namespace diffusion::addon {

namespace {

Napi::Value number_to_js(Napi::Env env, int64_t value) {
    return Napi::Number::New(env, static_cast<double>(value));
}

template <typename T, typename Convert>
Napi::Array array_to_js(Napi::Env env, const std::vector<T> & items, Convert convert) {
    auto array = Napi::Array::New(env, items.size());
    for (size_t i = 0; i < items.size(); i++) array.Set(static_cast<uint32_t>(i), convert(items[i]));
    return array;
}

// Keys come from files, so each is defined as an own property: `__proto__` must not be special.
void define(Napi::Object object, const std::string & key, Napi::Value value) {
    const auto name = Napi::String::New(object.Env(), key);
    object.DefineProperty(Napi::PropertyDescriptor::Value(name, value, napi_default_jsproperty));
}

Napi::Object metadata_to_js(Napi::Env env, const std::map<std::string, std::string> & metadata) {
    auto object = Napi::Object::New(env);
    for (const auto & [key, value] : metadata) define(object, key, Napi::String::New(env, value));
    return object;
}

Napi::Value config_value_to_js(Napi::Env env, const ConfigValue & config) {
    return std::visit(
        [&](const auto & value) -> Napi::Value {
            using T = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<T, int64_t>) {
                return number_to_js(env, value);
            } else if constexpr (std::is_same_v<T, bool>) {
                return Napi::Boolean::New(env, value);
            } else if constexpr (std::is_same_v<T, std::string>) {
                return Napi::String::New(env, value);
            } else {
                return array_to_js(env, value, [&](int64_t item) { return number_to_js(env, item); });
            }
        },
        config);
}

Napi::Value part_to_js(Napi::Env env, const PartInfo & component) {
    auto types = Napi::Object::New(env);
    for (const auto & [type, count] : component.types) define(types, type, number_to_js(env, count));
    auto config = Napi::Object::New(env);
    for (const auto & [key, value] : component.config) define(config, key, config_value_to_js(env, value));
    auto object = Napi::Object::New(env);
    object.Set("kind", component.kind);
    object.Set("parameters", number_to_js(env, component.parameters));
    object.Set("bytes", number_to_js(env, component.n_bytes));
    object.Set("types", types);
    object.Set("config", config);
    return object;
}

Napi::Value parts_to_js(Napi::Env env, const std::vector<PartInfo> & parts) {
    return array_to_js(env, parts, [&](const auto & part) { return part_to_js(env, part); });
}

void set_compute_info(Napi::Object object, const ComputeInfo & info) {
    object.Set("mappedBytes", number_to_js(object.Env(), info.mapped_bytes));
    object.Set("allocatedBytes", number_to_js(object.Env(), info.allocated_bytes));
    object.Set("device", info.device);
    object.Set("threads", info.threads);
    object.Set("precision", info.precision);
}

// Calls the JavaScript constructor, which throws if there is no memory; Node-API would abort.
Napi::Float32Array new_floats(Napi::Env env, size_t length) {
    try {
        const auto number = Napi::Number::New(env, static_cast<double>(length));
        return Environment::of(env).float32_array.New({number}).As<Napi::Float32Array>();
    } catch (const Napi::Error &) {
        throw std::bad_alloc();
    }
}

Napi::Value string_or_undefined(Napi::Env env, const std::string & text) {
    return text.empty() ? env.Undefined() : Napi::String::New(env, text);
}

Napi::Object noise_to_js(Napi::Env env, const Noise & noise) {
    auto object = Napi::Object::New(env);
    object.Set("schedule", noise.schedule);
    object.Set("steps", number_to_js(env, noise.steps));
    object.Set("zeroTerminalSnr", noise.zero_terminal_snr);
    object.Set("spacing", string_or_undefined(env, noise.spacing));
    object.Set("shift", noise.shift ? Napi::Number::New(env, *noise.shift) : env.Undefined());
    return object;
}

Napi::Object memory_to_js(Napi::Env env, const ComponentMemory & memory) {
    auto object = Napi::Object::New(env);
    object.Set("loaded", memory.loaded);
    object.Set("mappedBytes", number_to_js(env, memory.weights.mapped));
    object.Set("allocatedBytes", number_to_js(env, memory.weights.allocated));
    object.Set("packedBytes", number_to_js(env, memory.packed_bytes));
    object.Set("computeBytes", number_to_js(env, memory.compute_bytes));
    return object;
}

} // namespace

Napi::Value strings_to_js(Napi::Env env, const std::vector<std::string> & strings) {
    return array_to_js(env, strings, [&](const auto & text) { return Napi::String::New(env, text); });
}

Napi::Value inspection_to_js(Napi::Env env, const Inspection & inspection) {
    auto object = Napi::Object::New(env);
    object.Set("files", array_to_js(env, inspection.files, [&](const StoredFile & file) {
                   auto item = Napi::Object::New(env);
                   item.Set("path", file.path);
                   item.Set("format", file.format);
                   item.Set("bytes", number_to_js(env, static_cast<int64_t>(file.n_bytes)));
                   item.Set("tensors", number_to_js(env, static_cast<int64_t>(file.n_tensors)));
                   return item;
               }));
    object.Set("kind", string_or_undefined(env, inspection.kind));
    object.Set("family", string_or_undefined(env, inspection.family));
    object.Set("layout", string_or_undefined(env, inspection.layout));
    const auto & noise = inspection.noise;
    object.Set("prediction", noise ? string_or_undefined(env, noise->prediction) : env.Undefined());
    object.Set("noise", noise ? noise_to_js(env, *noise) : env.Undefined());
    object.Set("components", parts_to_js(env, inspection.parts));
    object.Set("absent", strings_to_js(env, inspection.absent));
    object.Set("missing", strings_to_js(env, inspection.missing));
    object.Set("mismatched", strings_to_js(env, inspection.mismatched));
    object.Set("unused", strings_to_js(env, inspection.unused));
    object.Set("metadata", metadata_to_js(env, inspection.metadata));
    return object;
}

static Napi::Value info_to_js(Napi::Env env, const ImageNetworkInfo & info) {
    auto object = Napi::Object::New(env);
    object.Set("kind", info.kind);
    object.Set("architecture", info.architecture);
    object.Set("scale", number_to_js(env, info.scale));
    object.Set("multiple", number_to_js(env, info.multiple));
    object.Set("outputChannels", number_to_js(env, info.output_channels));
    object.Set("side", number_to_js(env, info.side));
    object.Set("parameters", number_to_js(env, info.parameters));
    set_compute_info(object, info.compute);
    return object;
}

static Napi::Value info_to_js(Napi::Env env, const ModelInfo & info) {
    const VaeFacts & vae = info.facts.decoders.at("vae_decoder");
    const DenoiserFacts & denoiser = info.facts.denoiser;
    auto object = Napi::Object::New(env);
    object.Set("family", info.family);
    object.Set("prediction", info.noise.prediction);
    object.Set("noise", noise_to_js(env, info.noise));
    const auto & alphas = info.noise.alphas_cumprod;
    if (!alphas.empty()) {
        object.Set("alphasCumprod",
                   array_to_js(env, alphas, [&](double alpha) { return Napi::Number::New(env, alpha); }));
    }
    object.Set("components", parts_to_js(env, info.parts));
    object.Set("latentChannels", number_to_js(env, vae.latent_channels));
    object.Set("vaeScaleFactor", number_to_js(env, vae.scale_factor));
    object.Set("tinyAutoencoder", vae.tiny || info.facts.decoders.contains("tiny_decoder"));
    object.Set("sideMultiple", number_to_js(env, vae.scale_factor * denoiser.latent_multiple));
    object.Set("inChannels", number_to_js(env, denoiser.in_channels));
    object.Set("vectorSize", number_to_js(env, denoiser.vector_size));
    object.Set("guidanceSize", number_to_js(env, denoiser.guidance_size));
    object.Set("middleAttention", denoiser.middle_attention);
    object.Set("textEncoders", array_to_js(env, info.facts.text_encoders, [&](const TextEncoderFacts & text) {
                   auto item = Napi::Object::New(env);
                   item.Set("component", text.component);
                   item.Set("kind", text.kind);
                   item.Set("positions", number_to_js(env, text.positions));
                   item.Set("vocabulary", number_to_js(env, text.vocabulary));
                   item.Set("layers", number_to_js(env, text.layers));
                   item.Set("width", number_to_js(env, text.width));
                   item.Set("projection", number_to_js(env, text.projection));
                   item.Set("clipSkip", number_to_js(env, text.clip_skip));
                   return item;
               }));
    object.Set("metadata", metadata_to_js(env, info.metadata));
    set_compute_info(object, info.compute);
    return object;
}

Napi::Value info_to_js(Napi::Env env, const Engine::Info & info) {
    return std::visit([&](const auto & one) { return info_to_js(env, one); }, info);
}

// A dimension is a number, or "height" or "8 height" for a named size.
static Napi::Value ports_to_js(Napi::Env env, const std::vector<Port> & ports) {
    return array_to_js(env, ports, [&](const Port & port) {
        auto item = Napi::Object::New(env);
        item.Set("name", port.name);
        item.Set("type", ggml_type_name(port.type));
        item.Set("shape", array_to_js(env, port.shape, [&](const Side & side) -> Napi::Value {
                     if (side.size.empty()) return number_to_js(env, side.factor);
                     const std::string factor = side.factor > 1 ? std::to_string(side.factor) + ' ' : "";
                     return Napi::String::New(env, factor + side.size);
                 }));
        item.Set("optional", port.optional);
        return item;
    });
}

Napi::Value component_infos_to_js(Napi::Env env, const std::vector<ComponentInfo> & components) {
    auto object = Napi::Object::New(env);
    for (const ComponentInfo & component : components) {
        auto settings = Napi::Object::New(env);
        for (const Setting & setting : component.signature.settings) {
            auto range = Napi::Object::New(env);
            range.Set("least", number_to_js(env, setting.least));
            range.Set("most", number_to_js(env, setting.most));
            range.Set("default", number_to_js(env, setting.fallback));
            settings.Set(setting.name, range);
        }
        auto item = Napi::Object::New(env);
        item.Set("label", component.label);
        item.Set("device", component.device);
        item.Set("inputs", ports_to_js(env, component.signature.inputs));
        item.Set("outputs", ports_to_js(env, component.signature.outputs));
        item.Set("settings", settings);
        object.Set(component.name, item);
    }
    return object;
}

Napi::Value profile_to_js(Napi::Env env, const std::vector<ProfileEntry> & entries) {
    return array_to_js(env, entries, [&](const ProfileEntry & entry) {
        auto item = Napi::Object::New(env);
        item.Set("network", entry.network);
        item.Set("operation", entry.operation);
        item.Set("calls", number_to_js(env, entry.calls));
        item.Set("seconds", entry.seconds);
        item.Set("flop", entry.flop);
        item.Set("bytes", entry.bytes);
        return item;
    });
}

Napi::Value loras_to_js(Napi::Env env, const std::vector<LoraReport> & reports) {
    return array_to_js(env, reports, [&](const LoraReport & report) {
        auto item = Napi::Object::New(env);
        const LoraFile & file = report.file;
        item.Set("path", file.path);
        item.Set("weight", file.weight);
        if (file.text_weight != file.weight) item.Set("textEncoderWeight", file.text_weight);
        item.Set("applied", number_to_js(env, report.applied));
        item.Set("tensors", number_to_js(env, report.tensors));
        return item;
    });
}

Napi::Value tensors_to_js(Napi::Env env, std::vector<FloatTensor> & tensors) {
    auto array = Napi::Array::New(env, tensors.size());
    for (size_t i = 0; i < tensors.size(); i++) {
        auto item = Napi::Object::New(env);
        item.Set("name", tensors[i].name);
        item.Set("shape", array_to_js(env, tensors[i].shape, [&](int64_t side) { return number_to_js(env, side); }));
        item.Set("values", floats_to_js(env, tensors[i].values));
        array.Set(static_cast<uint32_t>(i), item);
    }
    return array;
}

Napi::Value gguf_values_to_js(Napi::Env env, const GgufValues & values) {
    auto arrays = Napi::Object::New(env);
    for (const auto & [key, array] : values.arrays) {
        auto numbers = Napi::Float64Array::New(env, array.numbers.size());
        std::ranges::copy(array.numbers, numbers.Data());
        auto bytes = Napi::Uint8Array::New(env, array.bytes.size());
        std::ranges::copy(array.bytes, bytes.Data());
        auto ends = Napi::Uint32Array::New(env, array.ends.size());
        std::ranges::copy(array.ends, ends.Data());
        auto item = Napi::Object::New(env);
        item.Set("numbers", numbers);
        item.Set("bytes", bytes);
        item.Set("ends", ends);
        define(arrays, key, item);
    }
    auto object = Napi::Object::New(env);
    object.Set("metadata", metadata_to_js(env, values.metadata));
    object.Set("arrays", arrays);
    return object;
}

Napi::Value gemm_rate_to_js(Napi::Env env, const GemmRate & rate) {
    auto object = Napi::Object::New(env);
    object.Set("precision", rate.operand);
    object.Set("runs", rate.runs);
    object.Set("flop", rate.flop);
    object.Set("seconds", rate.seconds);
    return object;
}

Napi::Value outputs_to_js(Napi::Env env, Outputs & outputs) {
    auto object = Napi::Object::New(env);
    for (auto & [name, values] : outputs) object.Set(name, floats_to_js(env, values));
    return object;
}

Napi::Value estimate_to_js(Napi::Env env, const ComponentMemory & memory) {
    auto object = memory_to_js(env, memory);
    object.Set("residentBytes", number_to_js(env, memory.resident_bytes));
    object.Set("streamedBytes", number_to_js(env, memory.streamed_bytes));
    object.Set("hostBytes", number_to_js(env, memory.host_bytes));
    return object;
}

Napi::Value memories_to_js(Napi::Env env, const std::vector<ComponentInfo> & components,
                           const std::vector<ComponentMemory> & memory) {
    auto object = Napi::Object::New(env);
    for (size_t i = 0; i < memory.size(); i++) object.Set(components[i].name, memory_to_js(env, memory[i]));
    return object;
}

Napi::Value device_to_js(Napi::Env env, const DeviceInfo & device) {
    auto object = Napi::Object::New(env);
    object.Set("name", device.name);
    object.Set("backend", device.backend);
    object.Set("description", device.description);
    object.Set("type", device.type);
    object.Set("software", device.software);
    object.Set("memoryTotal", number_to_js(env, device.memory_total));
    object.Set("memoryFree", number_to_js(env, device.memory_free));
    object.Set("features", strings_to_js(env, device.features));
    return object;
}

Napi::Value progress_to_js(Napi::Env env, int64_t done, int64_t total) {
    auto object = Napi::Object::New(env);
    object.Set("stage", "weights");
    object.Set("done", number_to_js(env, done));
    object.Set("total", number_to_js(env, total));
    return object;
}

Napi::Value floats_to_js(Napi::Env env, std::vector<float> & values) {
    const size_t n_bytes = values.size() * sizeof(float);
    // Up to this size a copy is cheaper, and unlike external memory it can be transferred to a worker thread.
    constexpr size_t small = size_t(1) << 20;
    if (n_bytes > small) {
        auto owned = std::make_unique<std::vector<float>>(std::move(values));
        const auto free = [](napi_env, void *, void * hint) { delete static_cast<std::vector<float> *>(hint); };
        napi_value buffer = nullptr;
        if (napi_create_external_arraybuffer(env, owned->data(), n_bytes, free, owned.get(), &buffer) == napi_ok) {
            const size_t length = owned.release()->size();
            return Napi::Float32Array::New(env, length, Napi::ArrayBuffer(env, buffer), 0);
        }
        values = std::move(*owned); // hosts with a V8 sandbox (Electron) do not allow external memory
    }
    auto array = new_floats(env, values.size());
    if (n_bytes > 0) std::memcpy(array.Data(), values.data(), n_bytes);
    values = {};
    return array;
}

} // namespace diffusion::addon
