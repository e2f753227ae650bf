// Converts C++ exceptions to JavaScript errors. Nothing here allocates native memory, so that its lack can be reported.
#pragma once

#include <exception>

#include <napi.h>

#include "error.h"

namespace diffusion::addon {

// An Error with its code; a RangeError for invalid_argument.
Napi::Value error_to_js(Napi::Env env, ErrorCode code, const char * message);

// The error for any exception; `purpose` is used as in "memory for <purpose>".
Napi::Value failure_to_js(Napi::Env env, const std::exception_ptr & failure, const char * purpose);

// Calls `work` and throws its exceptions in JavaScript.
template <typename Work> auto guarded(Napi::Env env, const char * purpose, Work work) -> decltype(work()) {
    try {
        return work();
    } catch (const Napi::Error &) {
        throw;
    } catch (...) {
        throw Napi::Error(env, failure_to_js(env, std::current_exception(), purpose));
    }
}

// The same for functions that return a promise: an exception rejects the promise.
template <typename Start> Napi::Value promise_of(Napi::Env env, const char * purpose, Start start) {
    try {
        return start();
    } catch (...) {
        const auto deferred = Napi::Promise::Deferred::New(env);
        deferred.Reject(failure_to_js(env, std::current_exception(), purpose));
        return deferred.Promise();
    }
}

} // namespace diffusion::addon
