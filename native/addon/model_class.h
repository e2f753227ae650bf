// The model that JavaScript holds: each method is a call to the worker that owns its engine.
#pragma once

#include <napi.h>

#include "addon/engine_class.h"
#include "runtime/engine.h"

namespace diffusion::addon {

class ModelClass : public EngineClass<ModelClass, Engine> {
public:
    static constexpr const char * class_name = "A Model";
    static constexpr auto class_reference = &Environment::model_class;

    // `open` of the contract: the engine is opened by the worker that will own it.
    static Napi::Value open(const Napi::CallbackInfo & info);
    static Napi::Function define(Napi::Env env);

    using EngineClass::EngineClass;

private:
    Napi::Value set_loras(const Napi::CallbackInfo & info);
    Napi::Value encode_text(const Napi::CallbackInfo & info);
    Napi::Value set_control_nets(const Napi::CallbackInfo & info);
    Napi::Value predict(const Napi::CallbackInfo & info);
    Napi::Value decode(const Napi::CallbackInfo & info);
    Napi::Value encode(const Napi::CallbackInfo & info);
    Napi::Value preview(const Napi::CallbackInfo & info);
};

} // namespace diffusion::addon
