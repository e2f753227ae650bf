// Cancelling from JavaScript also rejects the queued calls with this flag at once.
#include "addon/cancellation_class.h"

#include "addon/environment.h"
#include "addon/failure.h"

namespace diffusion::addon {

namespace {

// A random number that marks instances: neither the prototype nor the wrapping tells what class an object wraps.
constexpr napi_type_tag tag = {0x5c41d8a1a64b4f2e, 0x9d0e7b36c1f2480d};

} // namespace

Napi::Function CancellationClass::define(Napi::Env env) {
    return DefineClass(env, "Cancellation", {InstanceMethod<&CancellationClass::cancel>("cancel")});
}

const CancellationClass * CancellationClass::from(const Napi::Value & value) {
    if (!value.IsObject()) return nullptr;
    const auto object = value.As<Napi::Object>();
    return object.CheckTypeTag(&tag) ? Unwrap(object) : nullptr;
}

CancellationClass::CancellationClass(const Napi::CallbackInfo & info)
    : ObjectWrap(info), flag_(guarded(info.Env(), "a cancellation", [] { return Cancellation(); })) {
    info.This().As<Napi::Object>().TypeTag(&tag);
}

Napi::Value CancellationClass::cancel(const Napi::CallbackInfo & info) {
    flag_.cancel();
    Environment::of(info.Env()).reject_cancelled(info.Env());
    return info.Env().Undefined();
}

} // namespace diffusion::addon
