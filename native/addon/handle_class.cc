// A handle is released by `close` or by the garbage collector; the model then frees its object with the next call.
#include "addon/handle_class.h"

#include <new>
#include <utility>

#include "addon/arguments.h"
#include "addon/environment.h"
#include "addon/failure.h"
#include "runtime/engine.h"

namespace diffusion::addon {

namespace {

// A random number that marks instances, see CancellationClass.
constexpr napi_type_tag tag = {0x8f3b1e6c02d94a77, 0x41c7d05be9a8366f};

} // namespace

Napi::Function HandleClass::define(Napi::Env env) {
    return DefineClass(env, "Handle", {InstanceMethod<&HandleClass::close>("close")});
}

Napi::Object HandleClass::create(Napi::Env env, std::shared_ptr<Worker> worker, Handle handle) {
    auto & environment = Environment::of(env);
    environment.opened = std::move(worker);
    Napi::Object instance;
    try {
        instance = environment.handle_class.New({});
    } catch (const Napi::Error &) {
        environment.opened = nullptr;
        throw std::bad_alloc(); // the only failure of the constructor
    }
    Unwrap(instance)->handle_ = std::move(handle);
    return instance;
}

const HandleClass * HandleClass::from(const Napi::Value & value) {
    if (!value.IsObject()) return nullptr;
    const auto object = value.As<Napi::Object>();
    return object.CheckTypeTag(&tag) ? Unwrap(object) : nullptr;
}

HandleClass::HandleClass(const Napi::CallbackInfo & info) : ObjectWrap(info) {
    auto & opened = Environment::of(info.Env()).opened;
    if (!opened) throw_type_error(info.Env(), "A Handle is opened, not constructed.");
    worker_ = std::exchange(opened, nullptr);
    info.This().As<Napi::Object>().TypeTag(&tag);
}

Napi::Value HandleClass::close(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "closing a handle";
    return promise_of(info.Env(), purpose, [&] {
        handle_ = nullptr;
        return worker_->call(info.Env(), Cancellation(), purpose, [](Owned & owned, const Cancellation &) -> Result {
            static_cast<Engine *>(owned.get())->collect();
            return [](Napi::Env env) { return env.Undefined(); };
        });
    });
}

} // namespace diffusion::addon
