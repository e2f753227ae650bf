// See failure.h.
#include "addon/failure.h"

#include <cstdio>
#include <new>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace diffusion::addon {

namespace {

constexpr size_t longest = 1024; // of a message that is composed here

Napi::Value no_memory(Napi::Env env, const char * purpose) {
    char message[longest];
    std::snprintf(
        message, sizeof(message),
        "Expected memory for %s, but none is available. Use a smaller image, a smaller batch or a quantized model, "
        "close other programs, or raise the limit of the process or its container.",
        purpose);
    return error_to_js(env, ErrorCode::out_of_memory, message);
}

// Whether the error of Vulkan's C++ interface is a lack of memory, by the names and numbers of Vulkan's own headers.
bool lacks_device_memory(const std::system_error & error) {
    constexpr int out_of_host_memory = -1, out_of_device_memory = -2;
    const int result = error.code().value();
    return error.code().category().name() == std::string_view("vk::Result") &&
           (result == out_of_host_memory || result == out_of_device_memory);
}

// The engine itself only throws Error, so other exceptions come from a driver (Vulkan's C++ interface throws).
Napi::Value device_failed(Napi::Env env, const char * why) {
    char message[longest];
    std::snprintf(message, sizeof(message), "The device failed: %s. Load the model again.", why);
    return error_to_js(env, ErrorCode::device, message);
}

} // namespace

Napi::Value error_to_js(Napi::Env env, ErrorCode code, const char * message) {
    const bool misuse = code == ErrorCode::invalid_argument;
    const Napi::Object value =
        misuse ? Napi::RangeError::New(env, message).Value() : Napi::Error::New(env, message).Value();
    value.Set("code", error_code_name(code));
    return value;
}

Napi::Value failure_to_js(Napi::Env env, const std::exception_ptr & failure, const char * purpose) {
    try {
        std::rethrow_exception(failure);
    } catch (const Napi::Error & error) {
        return error.Value();
    } catch (const Error & error) {
        return error_to_js(env, error.code(), error.what());
    } catch (const std::bad_alloc &) {
        return no_memory(env, purpose);
    } catch (const std::length_error &) {
        return error_to_js(env, ErrorCode::out_of_memory, "The call needs more memory than can be addressed.");
    } catch (const std::system_error & error) {
        if (error.code() == std::errc::not_enough_memory || lacks_device_memory(error)) return no_memory(env, purpose);
        return device_failed(env, error.what());
    } catch (const std::exception & error) {
        return device_failed(env, error.what());
    } catch (...) {
        return device_failed(env, "for an unknown reason");
    }
}

} // namespace diffusion::addon
