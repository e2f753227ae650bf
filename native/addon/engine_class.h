// What the classes of JavaScript have in common that stand for an engine of a worker's: its opening, its calls and its end.
#pragma once

#include <memory>
#include <new>
#include <string>
#include <utility>

#include <napi.h>

#include "addon/arguments.h"
#include "addon/environment.h"
#include "addon/failure.h"
#include "addon/values.h"
#include "addon/worker.h"

namespace diffusion::addon {

// A worker that is to open an engine, and how.
struct Opening {
    std::shared_ptr<Worker> worker;
    EngineOptions options;
    Cancellation cancellation;
};

// Reads `NativeOpenOptions` and makes a worker that reports to its listeners.
Opening prepare_opening(const Napi::Value & options);

// `Class` derives from this, and has a `class_name` and a `class_reference` to its constructor. An `Engine` has an `info()` and
// a `profile()`.
template <typename Class, typename Engine> class EngineClass : public Napi::ObjectWrap<Class> {
public:
    explicit EngineClass(const Napi::CallbackInfo & info) : Napi::ObjectWrap<Class>(info) {
        auto & opened = Environment::of(info.Env()).opened;
        if (!opened) {
            throw_type_error(info.Env(), std::string(Class::class_name) + " is opened, not constructed.");
        }
        worker_ = std::exchange(opened, nullptr);
    }
    // The garbage collector frees an engine that was never disposed; its thread ends by itself.
    ~EngineClass() override {
        if (worker_) worker_->stop();
    }

    Napi::Value profile(const Napi::CallbackInfo & info) {
        constexpr auto purpose = "the profile";
        return promise_of(info.Env(), purpose, [&] {
            return call(info, Cancellation(), purpose, [](Engine & engine, const Cancellation &) -> Result {
                return [entries = engine.profile()](Napi::Env env) { return profile_to_js(env, entries); };
            });
        });
    }

    Napi::Value dispose(const Napi::CallbackInfo & info) {
        return promise_of(info.Env(), "disposing", [&] { return worker_->dispose(info.Env()); });
    }

protected:
    // Resolves with an instance around the engine that `open(options, cancellation)` gives on the worker's thread.
    template <typename Open>
    static Napi::Value open_engine(const Napi::Value & options, const char * purpose, Open open) {
        const Opening opening = prepare_opening(options);
        // The engine lives in the worker, and the worker outlives it: a plain reference will do.
        auto work = [options = opening.options, open, &worker = *opening.worker](Owned & owned,
                                                                                 const Cancellation & flag) -> Result {
            owned = open(options, flag);
            return [&worker, engine_info = engine_of(owned).info()](Napi::Env env) {
                return create(env, worker.shared_from_this(), engine_info);
            };
        };
        return opening.worker->call(options.Env(), opening.cancellation, purpose, std::move(work));
    }

    // Queues `work(engine, cancellation) -> Result`.
    template <typename Work>
    Napi::Value call(const Napi::CallbackInfo & info, const Cancellation & cancellation, const char * purpose,
                     Work work) {
        auto with_engine = [work = std::move(work)](Owned & owned, const Cancellation & flag) -> Result {
            return work(engine_of(owned), flag);
        };
        return worker_->call(info.Env(), cancellation, purpose, std::move(with_engine), info.This().As<Napi::Object>());
    }

    // Queues an evaluation whose result is one array.
    template <typename Evaluate>
    Napi::Value evaluate_array(const Napi::CallbackInfo & info, const Cancellation & cancellation, const char * purpose,
                               Evaluate evaluate) {
        return call(info, cancellation, purpose,
                    [evaluate = std::move(evaluate)](Engine & engine, const Cancellation & flag) -> Result {
                        return [values = evaluate(engine, flag)](Napi::Env env) mutable {
                            return floats_to_js(env, values);
                        };
                    });
    }

private:
    static Engine & engine_of(const Owned & owned) { return *static_cast<Engine *>(owned.get()); }

    template <typename Info>
    static Napi::Value create(Napi::Env env, std::shared_ptr<Worker> worker, const Info & engine_info) {
        auto & environment = Environment::of(env);
        environment.opened = worker;
        const auto instance = construct(environment);
        const auto name = Napi::String::New(env, "info");
        instance.DefineProperty(Napi::PropertyDescriptor::Value(name, info_to_js(env, engine_info), napi_enumerable));
        worker->adopt(instance);
        return instance;
    }

    // `opened` is empty afterwards, also where the constructor did not come to take it.
    static Napi::Object construct(Environment & environment) {
        struct Clear {
            Environment & environment;
            ~Clear() { environment.opened = nullptr; }
        } const clear{environment};
        try {
            return (environment.*Class::class_reference).New({});
        } catch (const Napi::Error &) {
            throw std::bad_alloc(); // nothing else fails in the constructor
        }
    }

    std::shared_ptr<Worker> worker_;
};

} // namespace diffusion::addon
