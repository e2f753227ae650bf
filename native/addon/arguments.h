// From JavaScript to C++: each function checks one argument and copies it, or throws a TypeError or RangeError that
// names it. Reading an object may run its getters, so values read earlier may have changed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <napi.h>

#include "cancellation.h"
#include "runtime/engine.h"

namespace diffusion::addon {

int64_t read_integer(const Napi::Value & value, const char * name, int64_t least, int64_t most);
// An object of named arrays, each { data, shape }.
Arrays read_arrays(const Napi::Value & value);
// An object of named shapes: arrays without values.
Arrays read_shapes(const Napi::Value & value);
CallOptions read_call_options(const Napi::Value & value);
// The listener of such options; empty if undefined.
Napi::Function read_call_progress(const Napi::Value & value);
EngineOptions read_engine_options(const Napi::Object & object);
// `type` and `rules`, both optional: what weights are converted to.
TypeRequest read_types(const Napi::Object & object);
Cancellation read_cancellation(const Napi::Value & value);
Source read_source(const Napi::Value & value);
Napi::Object read_object(const Napi::Value & value, const char * name);
std::string read_string(const Napi::Value & value, const char * name);
// An array of { path, weight, textEncoderWeight }.
std::vector<LoraFile> read_loras(const Napi::Value & value);
// 1 to GGML_MAX_N_THREADS.
int read_threads(const Napi::Value & value);
// Automatic if undefined.
Precision read_precision(const Napi::Value & value);
// The options of `open` about the noise that a model was trained with.
ResidencyPolicy read_residency(const Napi::Value & value);
NoiseGiven read_noise_given(const Napi::Value & value);
// Empty if undefined.
Napi::Function read_listener(const Napi::Value & value, const char * name);

[[noreturn]] void throw_type_error(Napi::Env env, const std::string & message);

} // namespace diffusion::addon
