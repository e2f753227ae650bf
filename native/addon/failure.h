// What an exception means to a caller in JavaScript. Nothing here takes memory of our own, so that it can be told that there is
// none.
#pragma once

#include <exception>

#include <napi.h>

#include "error.h"

namespace diffusion::addon {

// An Error with its code; a RangeError where an argument is to blame.
Napi::Value error_to_js(Napi::Env env, ErrorCode code, const char * message);

// The error for any exception of the work; `purpose` reads as in "memory for <purpose>".
Napi::Value failure_to_js(Napi::Env env, const std::exception_ptr & failure, const char * purpose);

// Calls `work` for JavaScript: what it throws, JavaScript throws.
template <typename Work> auto guarded(Napi::Env env, const char * purpose, Work work) -> decltype(work()) {
    try {
        return work();
    } catch (const Napi::Error &) {
        throw;
    } catch (...) {
        throw Napi::Error(env, failure_to_js(env, std::current_exception(), purpose));
    }
}

// The same for functions that return a promise: they never throw, what is wrong with their arguments rejects it.
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
