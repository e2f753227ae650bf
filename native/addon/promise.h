// Functions that return a promise never throw: what is wrong with their arguments rejects it.
#pragma once

#include <exception>

#include <napi.h>

#include "addon/values.h"
#include "error.h"

namespace diffusion::addon {

template <typename Start> Napi::Value promise_of(Napi::Env env, Start start) {
    const auto rejected = [&](napi_value reason) {
        const auto deferred = Napi::Promise::Deferred::New(env);
        deferred.Reject(reason);
        return deferred.Promise();
    };
    try {
        return start();
    } catch (const Napi::Error & error) {
        return rejected(error.Value());
    } catch (const Error & error) {
        return rejected(error_to_js(env, error));
    } catch (const std::exception & error) {
        // No memory for a copy of the arguments, or no thread.
        return rejected(error_to_js(env, Error(ErrorCode::out_of_memory, error.what())));
    }
}

} // namespace diffusion::addon
