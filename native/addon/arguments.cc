// Checks and copies of arguments. No JavaScript value, however odd, gets past them unchecked.
#include "addon/arguments.h"

#include <cmath>
#include <limits>

#include "addon/cancellation_class.h"
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

template <typename T>
std::vector<T> copy_array(const Napi::Value & value, napi_typedarray_type wanted, const char * type,
                          const char * name) {
    // A kind of array that this host's Node-API does not know leaves `actual` alone.
    auto actual = static_cast<napi_typedarray_type>(-1);
    void * data = nullptr;
    size_t length = 0;
    const bool known = value.IsTypedArray() && napi_get_typedarray_info(value.Env(), value, &actual, &length, &data,
                                                                        nullptr, nullptr) == napi_ok;
    if (!known || actual != wanted) throw_unexpected(value, type, name);
    const auto * first = static_cast<const T *>(data);
    if (first == nullptr) return {}; // empty or detached
    return std::vector<T>(first, first + length);
}

Control read_control(const Napi::Value & value) {
    const auto object = read_object(value, "a control");
    Control control;
    control.net = read_integer(object.Get("net"), "net", 0, std::numeric_limits<int32_t>::max());
    control.hint = read_floats(object.Get("hint"), "hint");
    control.shape = read_shape(object.Get("shape"), control.hint.size());
    const auto strength = object.Get("strength");
    if (!strength.IsNumber()) throw_unexpected(strength, "a number", "strength");
    control.strength = strength.As<Napi::Number>().FloatValue();
    return control;
}

template <typename Read>
auto read_array(const Napi::Value & value, const char * name, Read read) -> std::vector<decltype(read(value))> {
    constexpr uint32_t most = 64;
    if (!value.IsArray()) throw_unexpected(value, "an array", name);
    const auto array = value.As<Napi::Array>();
    std::vector<decltype(read(value))> read_values;
    const uint32_t length = array.Length();
    if (length > most) {
        throw_range_error(value.Env(), "Expected at most " + std::to_string(most) + " entries in " + name + ".");
    }
    for (uint32_t i = 0; i < length; i++) read_values.push_back(read(array.Get(i)));
    return read_values;
}

} // namespace

void throw_type_error(Napi::Env env, const std::string & message) {
    auto error = Napi::TypeError::New(env, message);
    error.Set("code", Napi::String::New(env, "ERR_INVALID_ARG_TYPE"));
    throw error;
}

std::vector<float> read_floats(const Napi::Value & value, const char * name) {
    return copy_array<float>(value, napi_float32_array, "a Float32Array", name);
}

std::vector<int32_t> read_int32s(const Napi::Value & value, const char * name) {
    return copy_array<int32_t>(value, napi_int32_array, "an Int32Array", name);
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

Shape4 read_shape(const Napi::Value & value, size_t n_elements) {
    const auto env = value.Env();
    if (!value.IsArray()) throw_unexpected(value, "an array of 4 sizes", "shape");
    const auto array = value.As<Napi::Array>();
    Shape4 shape = {};
    if (array.Length() != shape.size()) {
        throw_range_error(env, "Expected 4 sizes for shape but received " + std::to_string(array.Length()) + ".");
    }
    // With every factor at most the product that is left, nothing overflows.
    auto left = static_cast<int64_t>(n_elements);
    bool fits = left > 0;
    for (uint32_t i = 0; i < shape.size(); i++) {
        shape[i] = read_integer(array.Get(i), "a size in shape", 1, std::numeric_limits<int32_t>::max());
        fits = fits && left % shape[i] == 0;
        left /= shape[i];
    }
    if (!fits || left != 1) {
        throw_range_error(env, "Expected sizes in shape whose product is the length of the array, " +
                                   std::to_string(n_elements) + ".");
    }
    return shape;
}

Condition read_condition(const Napi::Value & value) {
    const auto object = read_object(value, "condition");
    const auto floats_or_none = [&](const char * name) {
        const auto part = object.Get(name);
        return part.IsUndefined() ? std::vector<float>() : read_floats(part, name);
    };
    Condition condition;
    condition.context = read_floats(object.Get("context"), "context");
    condition.context_tokens =
        read_integer(object.Get("contextTokens"), "contextTokens", 1, std::numeric_limits<int32_t>::max());
    condition.vector = floats_or_none("vector");
    condition.guidance = floats_or_none("guidance");
    const auto controls = object.Get("controls");
    if (!controls.IsUndefined()) condition.controls = read_array(controls, "controls", read_control);
    condition.identity_attention = object.Get("identityAttention").ToBoolean();
    condition.tileable = read_tileable(object.Get("tileable"));
    return condition;
}

Tileable read_tileable(const Napi::Value & value) {
    if (value.IsUndefined()) return {};
    const std::string sides = read_string(value, "tileable");
    if (sides != "x" && sides != "y" && sides != "xy") {
        throw_range_error(value.Env(), "Expected x, y or xy for tileable but received '" + sides + "'.");
    }
    return {sides.front() == 'x', sides.back() == 'y'};
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
    if (source.model.empty() && source.unet.empty() && source.text_encoder.empty() && source.text_encoder_2.empty() &&
        source.vae.empty()) {
        throw_range_error(value.Env(), "Expected the path of a model, or of one of its parts, for source.");
    }
    return source;
}

Napi::Object read_object(const Napi::Value & value, const char * name) {
    if (!value.IsObject()) throw_unexpected(value, "an object", name);
    return value.As<Napi::Object>();
}

std::vector<std::string> read_strings(const Napi::Value & value, const char * name) {
    return read_array(value, name, [&](const Napi::Value & entry) { return read_string(entry, name); });
}

std::string read_string(const Napi::Value & value, const char * name) {
    if (!value.IsString()) throw_unexpected(value, "a string", name);
    std::string text = value.As<Napi::String>().Utf8Value();
    if (text.find('\0') != std::string::npos) {
        throw_range_error(value.Env(), std::string("Expected a string without a zero character for ") + name + ".");
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
    NoiseGiven given;
    if (!prediction.IsUndefined()) given.prediction = read_string(prediction, "prediction");
    if (!zero.IsUndefined()) given.zero_terminal_snr = zero.ToBoolean();
    return given;
}

Napi::Function read_listener(const Napi::Value & value, const char * name) {
    if (value.IsUndefined()) return {};
    if (!value.IsFunction()) throw_unexpected(value, "a function", name);
    return value.As<Napi::Function>();
}

} // namespace diffusion::addon
