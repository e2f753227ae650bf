// What the addon exports: `NativeAddon` of lib/native/contract.ts.
#include <limits>
#include <string>
#include <vector>

#include <napi.h>

#include "addon/arguments.h"
#include "addon/cancellation_class.h"
#include "addon/convert.h"
#include "addon/environment.h"
#include "addon/failure.h"
#include "addon/handle_class.h"
#include "addon/model_class.h"
#include "addon/values.h"
#include "addon/worker.h"
#include "backend/cores.h"
#include "backend/load.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "io/gguf.h"
#include "runtime/engine.h"
#include "runtime/inspection.h"
#include "runtime/measure_gemm.h"
#include "source/tensor_values.h"

namespace diffusion::addon {

namespace {

Napi::Value build_info(Napi::Env env) {
    load_backends();
    std::vector<std::string> backends;
    for (size_t i = 0; i < ggml_backend_reg_count(); i++) {
        std::string name = ggml_backend_reg_name(ggml_backend_reg_get(i));
        for (char & c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        backends.push_back(std::move(name));
    }
    auto build = Napi::Object::New(env);
    build.Set("ggml", ggml_version());
    build.Set("backends", strings_to_js(env, backends));
    return build;
}

Napi::Value list_devices(const Napi::CallbackInfo & info) {
    const auto env = info.Env();
    return guarded(env, "the list of devices", [&] {
        const auto found = devices();
        auto array = Napi::Array::New(env, found.size());
        for (size_t i = 0; i < found.size(); i++) array.Set(static_cast<uint32_t>(i), device_to_js(env, found[i]));
        return array;
    });
}

Napi::Value load_library(const Napi::CallbackInfo & info) {
    const auto env = info.Env();
    return guarded(env, "a backend", [&] {
        const auto path = read_string(info[0], "path");
        const bool trial = info[1].ToBoolean().Value();
        return strings_to_js(env, load_backend(path, trial));
    });
}

Napi::Value inspect_files(const Napi::CallbackInfo & info) {
    const auto env = info.Env();
    constexpr auto purpose = "reading the headers of the model";
    return promise_of(env, purpose, [&] {
        const auto source = read_source(info[0]);
        const auto cancellation = read_cancellation(info[1]);
        return Environment::of(env).make_worker()->call(
            env, cancellation, purpose, [source](auto &, const Cancellation & flag) -> Result {
                return [found = inspect(source, flag)](Napi::Env env) { return inspection_to_js(env, found); };
            });
    });
}

Napi::Value measure(const Napi::CallbackInfo & info) {
    const auto env = info.Env();
    constexpr auto purpose = "measuring a matrix product";
    return promise_of(env, purpose, [&] {
        const auto options = read_object(info[0], "options");
        const auto threads = read_threads(options.Get("threads"));
        const auto precision = read_precision(options.Get("precision"));
        const auto cancellation = read_cancellation(info[1]);
        return Environment::of(env).make_worker()->call(
            env, cancellation, purpose, [threads, precision](auto &, const Cancellation & flag) -> Result {
                return [rate = measure_gemm(threads, precision, flag)](Napi::Env env) {
                    return gemm_rate_to_js(env, rate);
                };
            });
    });
}

Napi::Value read_small_file(const Napi::CallbackInfo & info) {
    const auto env = info.Env();
    constexpr auto purpose = "reading the tensors of a file";
    return promise_of(env, purpose, [&] {
        const auto path = read_string(info[0], "path");
        const auto most = read_integer(info[1], "mostValues", 1, std::numeric_limits<int32_t>::max());
        const auto cancellation = read_cancellation(info[2]);
        const auto prefix = info[3].IsUndefined() ? std::string() : read_string(info[3], "prefix");
        return Environment::of(env).make_worker()->call(
            env, cancellation, purpose, [path, most, prefix](auto &, const Cancellation & flag) -> Result {
                return [tensors = read_tensors(path, most, prefix, flag)](Napi::Env env) mutable {
                    return tensors_to_js(env, tensors);
                };
            });
    });
}

Napi::Value read_file_values(const Napi::CallbackInfo & info) {
    const auto env = info.Env();
    constexpr auto purpose = "reading the metadata of a file";
    return promise_of(env, purpose, [&] {
        const auto path = read_string(info[0], "path");
        const auto prefix = read_string(info[1], "prefix");
        const auto cancellation = read_cancellation(info[2]);
        return Environment::of(env).make_worker()->call(
            env, cancellation, purpose, [path, prefix](auto &, const Cancellation & flag) -> Result {
                return [values = read_gguf_values(path, prefix, flag)](Napi::Env env) mutable {
                    return gguf_values_to_js(env, values);
                };
            });
    });
}

Napi::Object set_exports(Napi::Env env, Napi::Object exports) {
    auto & environment = Environment::create(env);
    environment.model_class = Napi::Persistent(ModelClass::define(env));
    environment.handle_class = Napi::Persistent(HandleClass::define(env));
    environment.float32_array = Napi::Persistent(env.Global().Get("Float32Array").As<Napi::Function>());
    exports.Set("build", build_info(env));
    exports.Set("contract", DIFFUSION_CONTRACT);
    exports.Set("Cancellation", CancellationClass::define(env));
    exports.Set("convert", Napi::Function::New<convert_files>(env, "convert"));
    exports.Set("cores", Napi::Number::New(env, physical_cores()));
    exports.Set("devices", Napi::Function::New<list_devices>(env, "devices"));
    exports.Set("inspect", Napi::Function::New<inspect_files>(env, "inspect"));
    exports.Set("loadBackend", Napi::Function::New<load_library>(env, "loadBackend"));
    exports.Set("measureGemm", Napi::Function::New<measure>(env, "measureGemm"));
    exports.Set("open", Napi::Function::New<&ModelClass::open>(env, "open"));
    exports.Set("readMetadata", Napi::Function::New<read_file_values>(env, "readMetadata"));
    exports.Set("readTensors", Napi::Function::New<read_small_file>(env, "readTensors"));
    return exports;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
    return guarded(env, "the native addon", [&] { return set_exports(env, exports); });
}

} // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, init)

} // namespace diffusion::addon
