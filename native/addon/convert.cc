// See convert.h.
#include "addon/convert.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "addon/arguments.h"
#include "addon/environment.h"
#include "addon/failure.h"
#include "addon/values.h"
#include "addon/worker.h"
#include "convert/conversion.h"

namespace diffusion::addon {

namespace {

Metadata read_metadata(const Napi::Value & value) {
    const auto object = read_object(value, "metadata");
    const auto keys = object.GetPropertyNames();
    Metadata metadata;
    for (uint32_t i = 0; i < keys.Length(); i++) {
        const std::string key = read_string(keys.Get(i), "a key of metadata");
        metadata[key] = read_string(object.Get(key), "metadata");
    }
    return metadata;
}

ConversionOptions read_conversion(const Napi::Value & value) {
    const auto object = read_object(value, "options");
    ConversionOptions options;
    options.output = read_string(object.Get("output"), "output");
    options.temporary = read_string(object.Get("temporary"), "temporary");
    const bool is_safetensors = read_string(object.Get("format"), "format") == "safetensors";
    options.format = is_safetensors ? TensorFormat::safetensors : TensorFormat::gguf;
    options.types = read_types(object);
    options.keep_convolutions = object.Get("keepConvolutions").ToBoolean();
    options.metadata = read_metadata(object.Get("metadata"));
    options.threads = read_threads(object.Get("threads"));
    return options;
}

Napi::Value report_to_js(Napi::Env env, const ConversionReport & report) {
    auto types = Napi::Object::New(env);
    for (const auto & [type, count] : report.types) types.Set(type, static_cast<double>(count));
    auto object = Napi::Object::New(env);
    object.Set("tensors", static_cast<double>(report.tensors));
    object.Set("bytes", static_cast<double>(report.n_bytes));
    object.Set("types", types);
    return object;
}

// Reports progress to JavaScript at most every 20 ms, and at the end.
class ProgressReports {
public:
    explicit ProgressReports(Worker & worker) : worker_(worker) {}

    void operator()(int64_t done, int64_t total) {
        const auto now = std::chrono::steady_clock::now();
        if (done < total && now - last_ < std::chrono::milliseconds(20)) return;
        last_ = now;
        worker_.report_progress(done, total);
    }

private:
    Worker & worker_;
    std::chrono::steady_clock::time_point last_ = {};
};

} // namespace

Napi::Value convert_files(const Napi::CallbackInfo & info) {
    const auto env = info.Env();
    constexpr auto purpose = "converting a model";
    return promise_of(env, purpose, [&] {
        const auto source = read_source(info[0]);
        const auto options = read_conversion(info[1]);
        const auto on_progress = read_listener(info[2], "onProgress");
        const auto cancellation = read_cancellation(info[3]);
        const auto worker = Environment::of(env).make_worker();
        worker->listen(on_progress, {});
        // A plain reference: the worker outlives its calls.
        return worker->call(env, cancellation, purpose,
                            [source, options, &reporter = *worker](auto &, const Cancellation & flag) -> Result {
                                const auto report = convert(source, options, ProgressReports(reporter), flag);
                                return [report](Napi::Env env) { return report_to_js(env, report); };
                            });
    });
}

} // namespace diffusion::addon
