// The `Cancellation` class of JavaScript around a flag.
#pragma once

#include <napi.h>

#include "cancellation.h"

namespace diffusion::addon {

class CancellationClass : public Napi::ObjectWrap<CancellationClass> {
public:
    static Napi::Function define(Napi::Env env);
    // nullptr if `value` is not an instance.
    static const CancellationClass * from(const Napi::Value & value);

    explicit CancellationClass(const Napi::CallbackInfo & info);
    const Cancellation & flag() const { return flag_; }

private:
    Napi::Value cancel(const Napi::CallbackInfo & info);

    Cancellation flag_;
};

} // namespace diffusion::addon
