// Opening a model and calling it. Arguments are copied before a call is queued; JavaScript may change them afterwards.
#include "addon/model_class.h"

#include <chrono>
#include <functional>
#include <new>
#include <utility>

#include "addon/arguments.h"
#include "addon/failure.h"
#include "addon/handle_class.h"
#include "addon/values.h"

namespace diffusion::addon {

namespace {

// More frequent reports would only keep the event loop busy.
constexpr auto progress_interval = std::chrono::milliseconds(20);

using Report = std::function<void(int64_t done, int64_t total)>;

Report at_intervals(Report report) {
    using Clock = std::chrono::steady_clock;
    return [report = std::move(report), next = Clock::time_point::min()](int64_t done, int64_t total) mutable {
        const auto now = Clock::now();
        if (now < next && done < total) return;
        next = now + progress_interval;
        report(done, total);
    };
}

// A worker, and the options with which it opens an engine.
struct Opening {
    std::shared_ptr<Worker> worker;
    EngineOptions options;
    Cancellation cancellation;
};

Opening prepare_opening(const Napi::Value & value) {
    const auto object = read_object(value, "options");
    Opening opening;
    opening.options = read_engine_options(object);
    opening.cancellation = read_cancellation(object.Get("cancellation"));
    const auto on_progress = read_listener(object.Get("onProgress"), "onProgress");
    const auto on_log = read_listener(object.Get("onLog"), "onLog");

    opening.worker = Environment::of(value.Env()).make_worker();
    opening.worker->listen(on_progress, on_log);
    // A plain reference: the worker outlives the engine.
    if (!on_progress.IsEmpty()) {
        opening.options.on_progress = at_intervals(
            [&worker = *opening.worker](int64_t done, int64_t total) { worker.report_progress(done, total); });
    }
    if (!on_log.IsEmpty()) {
        opening.options.on_log = [&worker = *opening.worker](LogLevel level, const std::string & message) {
            worker.report_log(level, message);
        };
    }
    return opening;
}

Engine & engine_of(const Owned & owned) {
    return *static_cast<Engine *>(owned.get());
}

// Clears `opened` even if the constructor did not take it.
Napi::Object construct(Environment & environment) {
    struct Clear {
        Environment & environment;
        ~Clear() { environment.opened = nullptr; }
    } const clear{environment};
    try {
        return environment.model_class.New({});
    } catch (const Napi::Error &) {
        throw std::bad_alloc(); // the only failure of the constructor
    }
}

Napi::Value create(Napi::Env env, const std::shared_ptr<Worker> & worker, const Engine::Info & info,
                   const std::vector<ComponentInfo> & components) {
    auto & environment = Environment::of(env);
    environment.opened = worker;
    const auto instance = construct(environment);
    const auto define = [&](const char * name, const Napi::Value & value) {
        instance.DefineProperty(Napi::PropertyDescriptor::Value(Napi::String::New(env, name), value, napi_enumerable));
    };
    define("info", info_to_js(env, info));
    define("components", component_infos_to_js(env, components));
    worker->adopt(instance);
    return instance;
}

// The path of an image network; empty if `source` is a model.
std::string read_network(const Napi::Value & source) {
    const auto network = read_object(source, "source").Get("network");
    return network.IsUndefined() ? "" : read_string(network, "network");
}

} // namespace

Napi::Function ModelClass::define(Napi::Env env) {
    return DefineClass(
        env, "Model",
        {InstanceMethod<&ModelClass::evaluate>("evaluate"), InstanceMethod<&ModelClass::estimate>("estimate"),
         InstanceMethod<&ModelClass::load>("load"), InstanceMethod<&ModelClass::unload>("unload"),
         InstanceMethod<&ModelClass::set_residency>("setResidency"), InstanceMethod<&ModelClass::memory>("memory"),
         InstanceMethod<&ModelClass::open_loras>("openLoras"),
         InstanceMethod<&ModelClass::open_control_net>("openControlNet"),
         InstanceMethod<&ModelClass::profile>("profile"), InstanceMethod<&ModelClass::dispose>("dispose")});
}

ModelClass::ModelClass(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    auto & opened = Environment::of(info.Env()).opened;
    if (!opened) throw_type_error(info.Env(), "A Model is opened, not constructed.");
    worker_ = std::exchange(opened, nullptr);
}

ModelClass::~ModelClass() {
    if (worker_) worker_->stop();
}

template <typename Work>
Napi::Value ModelClass::call(const Napi::CallbackInfo & info, const Cancellation & cancellation, const char * purpose,
                             Work work, const Napi::Function & on_progress) {
    auto with_engine = [work = std::move(work)](Owned & owned, const Cancellation & flag) mutable -> Result {
        return work(engine_of(owned), flag);
    };
    return worker_->call(info.Env(), cancellation, purpose, std::move(with_engine), info.This().As<Napi::Object>(),
                         on_progress);
}

Napi::Value ModelClass::open(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "opening the model";
    return promise_of(info.Env(), purpose, [&] {
        std::function<std::unique_ptr<Engine>(const EngineOptions &, const Cancellation &)> open;
        if (const std::string path = read_network(info[0]); !path.empty()) {
            open = [path](const EngineOptions & options, const Cancellation & cancellation) {
                return Engine::open_image_network(path, options, cancellation);
            };
        } else {
            open = [source = read_source(info[0]), given = read_noise_given(info[1])](
                       const EngineOptions & options, const Cancellation & cancellation) {
                return Engine::open(source, given, options, cancellation);
            };
        }
        const Opening opening = prepare_opening(info[1]);
        // A plain reference: the worker owns the engine and outlives it.
        auto work = [options = opening.options, open, &worker = *opening.worker](Owned & owned,
                                                                                 const Cancellation & flag) -> Result {
            owned = open(options, flag);
            const Engine & engine = engine_of(owned);
            return [&worker, info = engine.info(), components = engine.components()](Napi::Env env) {
                return create(env, worker.shared_from_this(), info, components);
            };
        };
        return opening.worker->call(info.Env(), opening.cancellation, purpose, std::move(work));
    });
}

Napi::Value ModelClass::evaluate(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "evaluating a network";
    return promise_of(info.Env(), purpose, [&] {
        auto component = read_string(info[0], "component");
        auto inputs = read_arrays(info[1]);
        auto options = read_call_options(info[2]);
        const auto on_progress = read_call_progress(info[2]);
        if (!on_progress.IsEmpty()) {
            options.on_progress = at_intervals(
                [&worker = *worker_](int64_t done, int64_t total) { worker.report_call_progress(done, total); });
        }
        return call(
            info, read_cancellation(info[3]), purpose,
            [component = std::move(component), inputs = std::move(inputs),
             options = std::move(options)](Engine & engine, const Cancellation & flag) mutable -> Result {
                return [outputs = engine.evaluate(component, std::move(inputs), options, flag)](Napi::Env env) mutable {
                    return outputs_to_js(env, outputs);
                };
            },
            on_progress);
    });
}

Napi::Value ModelClass::estimate(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "estimating memory";
    return promise_of(info.Env(), purpose, [&] {
        auto component = read_string(info[0], "component");
        auto shapes = read_shapes(info[1]);
        auto options = read_call_options(info[2]);
        return call(info, Cancellation(), purpose,
                    [component = std::move(component), shapes = std::move(shapes),
                     options = std::move(options)](Engine & engine, const Cancellation &) -> Result {
                        return [memory = engine.estimate(component, shapes, options)](Napi::Env env) {
                            return estimate_to_js(env, memory);
                        };
                    });
    });
}

Napi::Value ModelClass::load(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "loading a network";
    return promise_of(info.Env(), purpose, [&] {
        return call(
            info, read_cancellation(info[1]), purpose,
            [component = read_string(info[0], "component")](Engine & engine, const Cancellation & flag) -> Result {
                engine.load(component, flag);
                return [](Napi::Env env) { return env.Undefined(); };
            });
    });
}

Napi::Value ModelClass::set_residency(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "changing the residency of networks";
    return promise_of(info.Env(), purpose, [&] {
        ResidencyPolicy policy = read_residency(info[0]);
        policy.stream = info[1].ToBoolean();
        return call(info, Cancellation(), purpose, [policy](Engine & engine, const Cancellation &) -> Result {
            engine.set_residency(policy);
            return [](Napi::Env env) { return env.Undefined(); };
        });
    });
}

Napi::Value ModelClass::unload(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "unloading a network";
    return promise_of(info.Env(), purpose, [&] {
        return call(info, Cancellation(), purpose,
                    [component = read_string(info[0], "component")](Engine & engine, const Cancellation &) -> Result {
                        engine.unload(component);
                        return [](Napi::Env env) { return env.Undefined(); };
                    });
    });
}

Napi::Value ModelClass::memory(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "a report on memory";
    return promise_of(info.Env(), purpose, [&] {
        return call(info, Cancellation(), purpose, [](Engine & engine, const Cancellation &) -> Result {
            return [components = engine.components(), memory = engine.memory()](Napi::Env env) {
                return memories_to_js(env, components, memory);
            };
        });
    });
}

Napi::Value ModelClass::open_loras(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "LoRAs";
    return promise_of(info.Env(), purpose, [&] {
        return call(info, read_cancellation(info[1]), purpose,
                    [files = read_loras(info[0]), all = info[2].ToBoolean().Value(),
                     &worker = *worker_](Engine & engine, const Cancellation & flag) -> Result {
                        return [opened = engine.open_loras(files, all, flag), &worker](Napi::Env env) mutable {
                            const auto handle =
                                HandleClass::create(env, worker.shared_from_this(), std::move(opened.handle));
                            handle.Set("reports", loras_to_js(env, opened.reports));
                            return handle;
                        };
                    });
    });
}

Napi::Value ModelClass::open_control_net(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "a ControlNet";
    return promise_of(info.Env(), purpose, [&] {
        return call(info, read_cancellation(info[1]), purpose,
                    [path = read_string(info[0], "path"), &worker = *worker_](Engine & engine,
                                                                              const Cancellation & flag) -> Result {
                        return [handle = engine.open_control_net(path, flag), &worker](Napi::Env env) mutable {
                            return HandleClass::create(env, worker.shared_from_this(), std::move(handle));
                        };
                    });
    });
}

Napi::Value ModelClass::profile(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "the profile";
    return promise_of(info.Env(), purpose, [&] {
        return call(info, Cancellation(), purpose, [](Engine & engine, const Cancellation &) -> Result {
            return [entries = engine.profile()](Napi::Env env) { return profile_to_js(env, entries); };
        });
    });
}

Napi::Value ModelClass::dispose(const Napi::CallbackInfo & info) {
    return promise_of(info.Env(), "disposing", [&] { return worker_->dispose(info.Env()); });
}

} // namespace diffusion::addon
