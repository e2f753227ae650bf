// From JavaScript to C++: each function checks one argument and copies it, and throws a TypeError or RangeError with a
// code that names it. Reading an object may run its getters, so nothing read before is trusted to be as it was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <napi.h>

#include "cancellation.h"
#include "runtime/engine.h"

namespace diffusion::addon {

int64_t read_integer(const Napi::Value & value, const char * name, int64_t least, int64_t most);
// An object of arrays by their names, each { data, shape }.
Arrays read_arrays(const Napi::Value & value);
// An object of shapes by the names of arrays, which have no values.
Arrays read_shapes(const Napi::Value & value);
CallOptions read_call_options(const Napi::Value & value);
EngineOptions read_engine_options(const Napi::Object & object);
Cancellation read_cancellation(const Napi::Value & value);
Source read_source(const Napi::Value & value);
Napi::Object read_object(const Napi::Value & value, const char * name);
std::string read_string(const Napi::Value & value, const char * name);
// An array of { path, weight, textEncoderWeight }.
std::vector<LoraFile> read_loras(const Napi::Value & value);
// 1 to GGML_MAX_N_THREADS.
int read_threads(const Napi::Value & value);
// Automatic where undefined.
Precision read_precision(const Napi::Value & value);
// What the options of opening a model say of the noise that it was trained with.
NoiseGiven read_noise_given(const Napi::Value & value);
// Empty where undefined.
Napi::Function read_listener(const Napi::Value & value, const char * name);

[[noreturn]] void throw_type_error(Napi::Env env, const std::string & message);

} // namespace diffusion::addon
