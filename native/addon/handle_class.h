// JavaScript's handle of LoRAs or a ControlNet that a model has open.
#pragma once

#include <memory>

#include <napi.h>

#include "addon/worker.h"
#include "runtime/handle.h"

namespace diffusion::addon {

class HandleClass : public Napi::ObjectWrap<HandleClass> {
public:
    static Napi::Function define(Napi::Env env);
    static Napi::Object create(Napi::Env env, std::shared_ptr<Worker> worker, Handle handle);
    // nullptr if `value` is not an instance.
    static const HandleClass * from(const Napi::Value & value);

    explicit HandleClass(const Napi::CallbackInfo & info);

    const Handle & handle() const { return handle_; } // empty once it is closed

private:
    Napi::Value close(const Napi::CallbackInfo & info);

    std::shared_ptr<Worker> worker_;
    Handle handle_;
};

} // namespace diffusion::addon
