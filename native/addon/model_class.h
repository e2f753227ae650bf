// The model that JavaScript holds: each method is a call to the worker that owns its engine.
#pragma once

#include <memory>

#include <napi.h>

#include "addon/worker.h"

namespace diffusion::addon {

class ModelClass : public Napi::ObjectWrap<ModelClass> {
public:
    // `open` of the contract: the engine is opened by the worker that will own it.
    static Napi::Value open(const Napi::CallbackInfo & info);
    static Napi::Function define(Napi::Env env);

    explicit ModelClass(const Napi::CallbackInfo & info);
    // The garbage collector frees a model that was never disposed; its thread ends by itself.
    ~ModelClass() override;

private:
    static Napi::Value create(Napi::Env env, std::shared_ptr<Worker> worker, const ModelInfo & info);

    Napi::Value set_loras(const Napi::CallbackInfo & info);
    Napi::Value encode_text(const Napi::CallbackInfo & info);
    Napi::Value set_control_nets(const Napi::CallbackInfo & info);
    Napi::Value predict(const Napi::CallbackInfo & info);
    Napi::Value decode(const Napi::CallbackInfo & info);
    Napi::Value encode(const Napi::CallbackInfo & info);
    Napi::Value profile(const Napi::CallbackInfo & info);
    Napi::Value dispose(const Napi::CallbackInfo & info);

    // Queues an evaluation whose result is one array.
    template <typename Evaluate>
    Napi::Value evaluate(const Napi::CallbackInfo & info, const Cancellation & cancellation, Evaluate evaluate);

    std::shared_ptr<Worker> worker_;
};

} // namespace diffusion::addon
