// JavaScript's object for an open model or image network: each method is a call to the worker that owns the engine.
#pragma once

#include <memory>

#include <napi.h>

#include "addon/environment.h"
#include "addon/worker.h"
#include "runtime/engine.h"

namespace diffusion::addon {

class ModelClass : public Napi::ObjectWrap<ModelClass> {
public:
    // `open` of the contract: the worker that will own the engine opens it.
    static Napi::Value open(const Napi::CallbackInfo & info);
    static Napi::Function define(Napi::Env env);

    explicit ModelClass(const Napi::CallbackInfo & info);
    // Garbage collection frees an engine that was never disposed, and its thread ends.
    ~ModelClass() override;

private:
    Napi::Value evaluate(const Napi::CallbackInfo & info);
    Napi::Value estimate(const Napi::CallbackInfo & info);
    Napi::Value load(const Napi::CallbackInfo & info);
    Napi::Value unload(const Napi::CallbackInfo & info);
    Napi::Value set_residency(const Napi::CallbackInfo & info);
    Napi::Value memory(const Napi::CallbackInfo & info);
    Napi::Value open_loras(const Napi::CallbackInfo & info);
    Napi::Value open_control_net(const Napi::CallbackInfo & info);
    Napi::Value profile(const Napi::CallbackInfo & info);
    Napi::Value dispose(const Napi::CallbackInfo & info);

    // Queues `work(engine, cancellation) -> Result`.
    template <typename Work>
    Napi::Value call(const Napi::CallbackInfo & info, const Cancellation & cancellation, const char * purpose,
                     Work work, const Napi::Function & on_progress = {});

    std::shared_ptr<Worker> worker_;
};

} // namespace diffusion::addon
