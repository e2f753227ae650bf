// Checks and copies arguments; they may be any JavaScript value.
#include "addon/arguments.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <variant>

#include "addon/cancellation_class.h"
#include "addon/handle_class.h"
#include "ggml.h"

namespace diffusion::addon {

namespace {

const char * type_name(const Napi::Value & value) {
    if (value.IsArray()) return "an array";
    if (value.IsTypedArray()) return "another typed array";
    switch (value.Type()) {
        case napi_undefined: return "undefined";
        case napi_null: return "null";
        case napi_boolean: return "a boolean";
        case napi_number: return "a number";
        case napi_string: return "a string";
        case napi_symbol: return "a symbol";
        case napi_function: return "a function";
        case napi_bigint: return "a bigint";
        default: return "another object";
    }
}

[[noreturn]] void throw_unexpected(const Napi::Value & value, const std::string & expected, const std::string & name) {
    throw_type_error(value.Env(), "Expected " + expected + " for " + name + " but received " + type_name(value) + ".");
}

[[noreturn]] void throw_range_error(Napi::Env env, const std::string & message) {
    auto error = Napi::RangeError::New(env, message);
    error.Set("code", Napi::String::New(env, error_code_name(ErrorCode::invalid_argument)));
    throw error;
}

constexpr uint32_t most_entries = 64; // of an array or an object

// The numbers of a Float32Array or an Int32Array.
std::variant<std::vector<float>, std::vector<int32_t>> copy_array(const Napi::Value & value, const std::string & name) {
    // The call below does not set `type` for a kind of array that this Node-API does not know.
    auto type = static_cast<napi_typedarray_type>(-1);
    void * data = nullptr;
    size_t length = 0;
    if (value.IsTypedArray() &&
        napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) == napi_ok) {
        if (data == nullptr) length = 0; // empty or detached
        const auto * floats = static_cast<const float *>(data);
        if (type == napi_float32_array) return std::vector<float>(floats, floats + length);
        const auto * integers = static_cast<const int32_t *>(data);
        if (type == napi_int32_array) return std::vector<int32_t>(integers, integers + length);
    }
    throw_unexpected(value, "a Float32Array or an Int32Array", name);
}

std::vector<int64_t> read_shape(const Napi::Value & value, const std::string & name) {
    constexpr uint32_t most_sides = 4;
    if (!value.IsArray()) throw_unexpected(value, "an array of sizes", "the shape of " + name);
    const auto array = value.As<Napi::Array>();
    const uint32_t length = array.Length();
    if (length < 1 || length > most_sides) {
        throw_range_error(value.Env(), "Expected 1 to 4 sizes for the shape of " + name + " but received " +
                                           std::to_string(length) + ".");
    }
    std::vector<int64_t> shape;
    for (uint32_t i = 0; i < length; i++) {
        shape.push_back(read_integer(array.Get(i), "a size in a shape", 1, std::numeric_limits<int32_t>::max()));
    }
    return shape;
}

// An array whose length is the product of its shape.
Array read_shaped(const Napi::Value & value, const std::string & name) {
    const auto object = read_object(value, name.c_str());
    Array array;
    array.values = copy_array(object.Get("data"), name);
    array.shape = read_shape(object.Get("shape"), name);
    const size_t n_elements = std::visit([](const auto & values) { return values.size(); }, array.values);
    // Every factor is at most the remaining quotient, so nothing overflows.
    auto left = static_cast<int64_t>(n_elements);
    bool fits = left > 0;
    for (const int64_t side : array.shape) {
        fits = fits && left % side == 0;
        left /= side;
    }
    if (!fits || left != 1) {
        throw_range_error(value.Env(), "Expected sizes in the shape of " + name + " whose product is its length, " +
                                           std::to_string(n_elements) + ".");
    }
    return array;
}

// Calls `read(name, value)` for the own properties of an object that are not undefined.
template <typename Read> void each_property(const Napi::Value & value, const char * name, Read read) {
    const auto object = read_object(value, name);
    napi_value keys = nullptr;
    const napi_status status = napi_get_all_property_names(
        value.Env(), object, napi_key_own_only,
        static_cast<napi_key_filter>(napi_key_enumerable | napi_key_skip_symbols), napi_key_numbers_to_strings, &keys);
    if (status != napi_ok) throw Napi::Error::New(value.Env());
    const auto names = Napi::Array(value.Env(), keys);
    const uint32_t length = names.Length();
    if (length > most_entries) {
        throw_range_error(value.Env(),
                          "Expected at most " + std::to_string(most_entries) + " entries in " + name + ".");
    }
    for (uint32_t i = 0; i < length; i++) {
        const auto key = names.Get(i);
        const auto property = object.Get(key);
        if (!property.IsUndefined()) read(key.As<Napi::String>().Utf8Value(), property);
    }
}

Handle read_handle(const Napi::Value & value, const char * name) {
    const auto * found = HandleClass::from(value);
    if (found == nullptr) throw_unexpected(value, "a handle of this thread", name);
    if (!found->handle()) throw_range_error(value.Env(), std::string("Expected an open handle for ") + name + ".");
    return found->handle();
}

ControlCall read_control(const Napi::Value & value) {
    const auto object = read_object(value, "a control");
    ControlCall control;
    control.net = read_handle(object.Get("net"), "net");
    control.hint = read_shaped(object.Get("hint"), "hint");
    const auto strength = object.Get("strength");
    if (!strength.IsNumber()) throw_unexpected(strength, "a number", "strength");
    control.strength = strength.As<Napi::Number>().FloatValue();
    return control;
}

// `x`, `y`, `xy`, or undefined for none.
Tileable read_tileable(const Napi::Value & value) {
    if (value.IsUndefined()) return {};
    const std::string sides = read_string(value, "tileable");
    if (sides != "x" && sides != "y" && sides != "xy") {
        throw_range_error(value.Env(), "Expected x, y or xy for tileable but received '" + sides + "'.");
    }
    return {sides.front() == 'x', sides.back() == 'y'};
}

template <typename Read>
auto read_array(const Napi::Value & value, const char * name, Read read) -> std::vector<decltype(read(value))> {
    if (!value.IsArray()) throw_unexpected(value, "an array", name);
    const auto array = value.As<Napi::Array>();
    std::vector<decltype(read(value))> read_values;
    const uint32_t length = array.Length();
    if (length > most_entries) {
        throw_range_error(value.Env(),
                          "Expected at most " + std::to_string(most_entries) + " entries in " + name + ".");
    }
    for (uint32_t i = 0; i < length; i++) read_values.push_back(read(array.Get(i)));
    return read_values;
}

// Empty, also if undefined: the types of the source.
std::string read_type(const Napi::Value & value) {
    if (value.IsUndefined()) return "";
    std::string type = read_string(value, "type");
    const auto & known = conversion_types();
    if (type.empty() || std::ranges::find(known, type) != known.end()) return type;
    throw Error(ErrorCode::invalid_argument, "Expected a conversion type for type but received '" + type + "'.");
}

} // namespace

void throw_type_error(Napi::Env env, const std::string & message) {
    auto error = Napi::TypeError::New(env, message);
    error.Set("code", Napi::String::New(env, "ERR_INVALID_ARG_TYPE"));
    throw error;
}

int64_t read_integer(const Napi::Value & value, const char * name, int64_t least, int64_t most) {
    const std::string expected = "an integer from " + std::to_string(least) + " to " + std::to_string(most);
    if (!value.IsNumber()) throw_unexpected(value, expected, name);
    const double number = value.As<Napi::Number>().DoubleValue();
    // NaN fails the first comparison.
    const bool fits = number >= static_cast<double>(least) && number <= static_cast<double>(most);
    if (!fits || std::trunc(number) != number) {
        const std::string received = value.ToString().Utf8Value();
        throw_range_error(value.Env(), "Expected " + expected + " for " + name + " but received " + received + ".");
    }
    return static_cast<int64_t>(number);
}

Arrays read_arrays(const Napi::Value & value) {
    Arrays arrays;
    each_property(value, "inputs", [&](const std::string & name, const Napi::Value & property) {
        arrays.emplace(name, read_shaped(property, name));
    });
    return arrays;
}

Arrays read_shapes(const Napi::Value & value) {
    Arrays arrays;
    each_property(value, "shapes", [&](const std::string & name, const Napi::Value & property) {
        arrays.emplace(name, Array{read_shape(property, name), {}});
    });
    return arrays;
}

CallOptions read_call_options(const Napi::Value & value) {
    CallOptions options;
    if (value.IsUndefined()) return options;
    const auto object = read_object(value, "options");
    const auto settings = object.Get("settings");
    if (!settings.IsUndefined()) {
        each_property(settings, "settings", [&](const std::string & name, const Napi::Value & property) {
            constexpr int64_t most = std::numeric_limits<int32_t>::max();
            options.settings[name] = property.IsBoolean() ? static_cast<int64_t>(property.As<Napi::Boolean>().Value())
                                                          : read_integer(property, name.c_str(), -most, most);
        });
    }
    options.tileable = read_tileable(object.Get("tileable"));
    const auto loras = object.Get("loras"), controls = object.Get("controls");
    if (!loras.IsUndefined()) options.loras = read_handle(loras, "loras");
    if (!controls.IsUndefined()) options.controls = read_array(controls, "controls", read_control);
    return options;
}

// `keep`, `unload`, a number of bytes, or undefined for `keep`.
ResidencyPolicy read_residency(const Napi::Value & value) {
    if (value.IsUndefined()) return {};
    if (value.IsNumber()) {
        constexpr int64_t most = (int64_t{1} << 53) - 1;
        return {ResidencyPolicy::budget, read_integer(value, "residency", 0, most)};
    }
    const std::string name = read_string(value, "residency");
    if (name == "keep") return {ResidencyPolicy::keep};
    if (name == "unload") return {ResidencyPolicy::unload};
    throw_range_error(value.Env(), "Expected keep, unload or bytes for residency but received '" + name + "'.");
}

TypeRequest read_types(const Napi::Object & object) {
    TypeRequest types;
    types.type = read_type(object.Get("type"));
    const auto rules = object.Get("rules");
    if (rules.IsUndefined()) return types;
    if (!rules.IsArray()) throw_unexpected(rules, "an array", "rules");
    const auto array = rules.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); i++) {
        const auto rule = read_object(array.Get(i), "a rule");
        types.rules.push_back({read_string(rule.Get("pattern"), "pattern"), read_type(rule.Get("type"))});
    }
    return types;
}

Napi::Function read_call_progress(const Napi::Value & value) {
    if (value.IsUndefined()) return {};
    return read_listener(read_object(value, "options").Get("onProgress"), "onProgress");
}

EngineOptions read_engine_options(const Napi::Object & object) {
    EngineOptions options;
    options.device = read_string(object.Get("device"), "device");
    options.threads = read_threads(object.Get("threads"));
    options.profile = object.Get("profile").ToBoolean();
    options.precision = read_precision(object.Get("precision"));
    if (object.Get("mmap").StrictEquals(Napi::Boolean::New(object.Env(), false))) options.placement = Placement::copied;
    options.residency = read_residency(object.Get("residency"));
    options.types = read_types(object);
    return options;
}

Cancellation read_cancellation(const Napi::Value & value) {
    const auto * found = CancellationClass::from(value);
    if (found == nullptr) throw_unexpected(value, "a Cancellation of this thread", "cancellation");
    return found->flag();
}

Source read_source(const Napi::Value & value) {
    const auto object = read_object(value, "source");
    const auto path = [&](const char * name) {
        const auto part = object.Get(name);
        return part.IsUndefined() ? std::string() : read_string(part, name);
    };
    Source source;
    source.model = path("model");
    source.unet = path("unet");
    source.text_encoder = path("textEncoder");
    source.text_encoder_2 = path("textEncoder2");
    source.vae = path("vae");
    source.tiny_autoencoder = path("taesd");
    source.language_model = path("llm");
    if (source.model.empty() && source.unet.empty() && source.text_encoder.empty() && source.text_encoder_2.empty() &&
        source.language_model.empty() && source.vae.empty()) {
        throw_range_error(value.Env(), "Expected the path of a model, or of one of its parts, for source.");
    }
    return source;
}

Napi::Object read_object(const Napi::Value & value, const char * name) {
    if (!value.IsObject()) throw_unexpected(value, "an object", name);
    return value.As<Napi::Object>();
}

std::string read_string(const Napi::Value & value, const char * name) {
    if (!value.IsString()) throw_unexpected(value, "a string", name);
    std::string text = value.As<Napi::String>().Utf8Value();
    if (text.find('\0') != std::string::npos) {
        throw_range_error(value.Env(), std::string("Expected a string without NUL characters for ") + name + ".");
    }
    return text;
}

static double read_finite(const Napi::Value & value, const char * name) {
    if (!value.IsNumber()) throw_unexpected(value, "a finite number", name);
    const double number = value.As<Napi::Number>().DoubleValue();
    if (!std::isfinite(number)) {
        throw_range_error(value.Env(), std::string("Expected a finite number for ") + name + ".");
    }
    return number;
}

std::vector<LoraFile> read_loras(const Napi::Value & value) {
    return read_array(value, "loras", [](const Napi::Value & entry) {
        const auto item = read_object(entry, "a LoRA");
        const double weight = read_finite(item.Get("weight"), "weight");
        const auto text = item.Get("textEncoderWeight");
        return LoraFile{read_string(item.Get("path"), "path"), weight,
                        text.IsUndefined() ? weight : read_finite(text, "textEncoderWeight")};
    });
}

int read_threads(const Napi::Value & value) {
    return static_cast<int>(read_integer(value, "threads", 1, GGML_MAX_N_THREADS));
}

Precision read_precision(const Napi::Value & value) {
    const std::string name = value.IsUndefined() ? "auto" : read_string(value, "precision");
    if (name == "auto") return Precision::automatic;
    if (name == "f32") return Precision::f32;
    if (name == "bf16") return Precision::bf16;
    throw_range_error(value.Env(), "Expected auto, f32 or bf16 for precision but received '" + name + "'.");
}

NoiseGiven read_noise_given(const Napi::Value & value) {
    const auto options = read_object(value, "options");
    const auto prediction = options.Get("prediction"), zero = options.Get("zeroTerminalSnr");
    const auto shift = options.Get("flowShift");
    NoiseGiven given;
    if (!prediction.IsUndefined()) given.prediction = read_string(prediction, "prediction");
    if (!zero.IsUndefined()) given.zero_terminal_snr = zero.ToBoolean();
    if (!shift.IsUndefined()) given.shift = read_finite(shift, "flowShift");
    return given;
}

Napi::Function read_listener(const Napi::Value & value, const char * name) {
    if (value.IsUndefined()) return {};
    if (!value.IsFunction()) throw_unexpected(value, "a function", name);
    return value.As<Napi::Function>();
}

} // namespace diffusion::addon
