// Opening a model and calling it. Arguments are copied before a call is queued; JavaScript may change them afterwards.
#include "addon/model_class.h"

#include <chrono>
#include <limits>
#include <utility>

#include "addon/arguments.h"
#include "addon/promise.h"
#include "addon/values.h"

namespace diffusion::addon {

namespace {

// Progress that a person can follow; more of it would only keep the event loop busy.
constexpr auto progress_interval = std::chrono::milliseconds(20);

std::function<void(int64_t, int64_t)> progress_reporter(Worker & worker) {
    using Clock = std::chrono::steady_clock;
    return [&worker, next = Clock::time_point::min()](int64_t done, int64_t total) mutable {
        const auto now = Clock::now();
        if (now < next && done < total) return;
        next = now + progress_interval;
        worker.report_progress(done, total);
    };
}

} // namespace

Napi::Function ModelClass::define(Napi::Env env) {
    return DefineClass(env, "Model",
                       {InstanceMethod<&ModelClass::set_loras>("setLoras"),
                        InstanceMethod<&ModelClass::set_control_nets>("setControlNets"),
                        InstanceMethod<&ModelClass::encode_text>("encodeText"),
                        InstanceMethod<&ModelClass::predict>("predict"), InstanceMethod<&ModelClass::decode>("decode"),
                        InstanceMethod<&ModelClass::encode>("encode"), InstanceMethod<&ModelClass::profile>("profile"),
                        InstanceMethod<&ModelClass::dispose>("dispose")});
}

ModelClass::ModelClass(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    auto & opened = Environment::of(info.Env()).opened;
    if (!opened) throw_type_error(info.Env(), "A Model is made by open(), not by its constructor.");
    worker_ = std::exchange(opened, nullptr);
}

ModelClass::~ModelClass() {
    if (worker_) worker_->stop();
}

Napi::Value ModelClass::create(Napi::Env env, std::shared_ptr<Worker> worker, const ModelInfo & info) {
    auto & environment = Environment::of(env);
    environment.opened = worker;
    const auto model = environment.model_class.New({});
    const auto name = Napi::String::New(env, "info");
    model.DefineProperty(Napi::PropertyDescriptor::Value(name, model_info_to_js(env, info), napi_enumerable));
    worker->adopt(model);
    return model;
}

Napi::Value ModelClass::open(const Napi::CallbackInfo & info) {
    const auto env = info.Env();
    return promise_of(env, [&] {
        const auto source = read_source(info[0]);
        const auto options = read_object(info[1], "options");
        EngineOptions engine_options;
        engine_options.device = read_string(options.Get("device"), "device");
        engine_options.threads = read_threads(options.Get("threads"));
        engine_options.profile = options.Get("profile").ToBoolean();
        engine_options.precision = read_precision(options.Get("precision"));
        const auto cancellation = read_cancellation(options.Get("cancellation"));
        const auto on_progress = read_listener(options.Get("onProgress"), "onProgress");
        const auto on_log = read_listener(options.Get("onLog"), "onLog");

        const auto worker = Environment::of(env).start_worker();
        worker->listen(on_progress, on_log);
        // The engine lives in the worker, and the worker outlives it: a plain reference will do.
        if (!on_progress.IsEmpty()) engine_options.on_progress = progress_reporter(*worker);
        if (!on_log.IsEmpty()) {
            engine_options.on_log = [&worker = *worker](LogLevel level, const std::string & message) {
                worker.report_log(level, message);
            };
        }
        return worker->call(env, cancellation,
                            [source, engine_options, &worker = *worker](auto & engine, const auto & flag) -> Result {
                                engine = Engine::open(source, engine_options, flag);
                                return [&worker, model_info = engine->info()](Napi::Env env) {
                                    return create(env, worker.shared_from_this(), model_info);
                                };
                            });
    });
}

template <typename Evaluate>
Napi::Value ModelClass::evaluate(const Napi::CallbackInfo & info, const Cancellation & cancellation,
                                 Evaluate evaluate) {
    auto work = [evaluate = std::move(evaluate)](auto & engine, const auto & flag) -> Result {
        return [values = evaluate(*engine, flag)](Napi::Env env) mutable { return floats_to_js(env, values); };
    };
    return worker_->call(info.Env(), cancellation, std::move(work), info.This().As<Napi::Object>());
}

Napi::Value ModelClass::set_loras(const Napi::CallbackInfo & info) {
    return promise_of(info.Env(), [&] {
        const auto cancellation = read_cancellation(info[1]);
        auto work = [files = read_loras(info[0])](auto & engine, const auto & flag) -> Result {
            return [reports = engine->set_loras(files, flag)](Napi::Env env) { return loras_to_js(env, reports); };
        };
        return worker_->call(info.Env(), cancellation, work, info.This().As<Napi::Object>());
    });
}

Napi::Value ModelClass::encode_text(const Napi::CallbackInfo & info) {
    return promise_of(info.Env(), [&] {
        constexpr int64_t most = std::numeric_limits<int32_t>::max();
        const auto encoder = read_integer(info[0], "encoder", 0, most);
        auto tokens = read_int32s(info[1], "tokens");
        const auto clip_skip = read_integer(info[2], "clipSkip", 1, most);
        const auto cancellation = read_cancellation(info[3]);
        auto vectors = info[4].IsUndefined() ? std::vector<float>() : read_floats(info[4], "vectors");
        auto work = [encoder, tokens = std::move(tokens), vectors = std::move(vectors),
                     clip_skip](auto & engine, const auto & flag) -> Result {
            return [encoding = engine->encode_text(encoder, tokens, vectors, clip_skip, flag)](Napi::Env env) mutable {
                return text_encoding_to_js(env, encoding);
            };
        };
        return worker_->call(info.Env(), cancellation, std::move(work), info.This().As<Napi::Object>());
    });
}

Napi::Value ModelClass::set_control_nets(const Napi::CallbackInfo & info) {
    return promise_of(info.Env(), [&] {
        auto paths = read_strings(info[0], "paths");
        const auto cancellation = read_cancellation(info[1]);
        auto work = [paths = std::move(paths)](auto & engine, const auto & flag) -> Result {
            engine->set_control_nets(paths, flag);
            return [](Napi::Env env) { return env.Undefined(); };
        };
        return worker_->call(info.Env(), cancellation, std::move(work), info.This().As<Napi::Object>());
    });
}

Napi::Value ModelClass::predict(const Napi::CallbackInfo & info) {
    return promise_of(info.Env(), [&] {
        auto latent = read_floats(info[0], "latent");
        const auto shape = read_shape(info[1], latent.size());
        auto timesteps = read_floats(info[2], "timesteps");
        auto condition = read_condition(info[3]);
        return evaluate(info, read_cancellation(info[4]),
                        [latent = std::move(latent), shape, timesteps = std::move(timesteps),
                         condition = std::move(condition)](Engine & engine, const Cancellation & flag) {
                            return engine.predict(latent, shape, timesteps, condition, flag);
                        });
    });
}

Napi::Value ModelClass::decode(const Napi::CallbackInfo & info) {
    return promise_of(info.Env(), [&] {
        auto latent = read_floats(info[0], "latent");
        const auto shape = read_shape(info[1], latent.size());
        return evaluate(info, read_cancellation(info[2]),
                        [latent = std::move(latent), shape](Engine & engine, const Cancellation & cancellation) {
                            return engine.decode(latent, shape, cancellation);
                        });
    });
}

Napi::Value ModelClass::encode(const Napi::CallbackInfo & info) {
    return promise_of(info.Env(), [&] {
        auto image = read_floats(info[0], "image");
        const auto shape = read_shape(info[1], image.size());
        return evaluate(info, read_cancellation(info[2]),
                        [image = std::move(image), shape](Engine & engine, const Cancellation & cancellation) {
                            return engine.encode(image, shape, cancellation);
                        });
    });
}

Napi::Value ModelClass::profile(const Napi::CallbackInfo & info) {
    return promise_of(info.Env(), [&] {
        auto work = [](auto & engine, const auto &) -> Result {
            return [entries = engine->profile()](Napi::Env env) { return profile_to_js(env, entries); };
        };
        return worker_->call(info.Env(), Cancellation(), work, info.This().As<Napi::Object>());
    });
}

Napi::Value ModelClass::dispose(const Napi::CallbackInfo & info) {
    return promise_of(info.Env(), [&] { return worker_->dispose(info.Env()); });
}

} // namespace diffusion::addon
