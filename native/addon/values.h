// From C++ to JavaScript: the values described in lib/native/contract.ts.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <napi.h>

#include "io/gguf.h"
#include "runtime/engine.h"
#include "runtime/inspection.h"
#include "runtime/measure_gemm.h"
#include "source/tensor_values.h"

namespace diffusion::addon {

Napi::Value inspection_to_js(Napi::Env env, const Inspection & inspection);
Napi::Value info_to_js(Napi::Env env, const Engine::Info & info);
Napi::Value component_infos_to_js(Napi::Env env, const std::vector<ComponentInfo> & components);
Napi::Value estimate_to_js(Napi::Env env, const ComponentMemory & memory);
Napi::Value memories_to_js(Napi::Env env, const std::vector<ComponentInfo> & components,
                           const std::vector<ComponentMemory> & memory);
Napi::Value profile_to_js(Napi::Env env, const std::vector<ProfileEntry> & entries);
Napi::Value loras_to_js(Napi::Env env, const std::vector<LoraReport> & reports);
Napi::Value gguf_values_to_js(Napi::Env env, const GgufValues & values);
Napi::Value tensors_to_js(Napi::Env env, std::vector<FloatTensor> & tensors); // empties it
Napi::Value gemm_rate_to_js(Napi::Env env, const GemmRate & rate);
using Outputs = std::map<std::string, std::vector<float>>;
Napi::Value outputs_to_js(Napi::Env env, Outputs & outputs); // empties it
Napi::Value device_to_js(Napi::Env env, const DeviceInfo & device);
Napi::Value progress_to_js(Napi::Env env, int64_t done, int64_t total);
Napi::Value strings_to_js(Napi::Env env, const std::vector<std::string> & strings);
// Empties `values`. A large vector becomes the array's memory without a copy, if the host allows that.
Napi::Value floats_to_js(Napi::Env env, std::vector<float> & values);

} // namespace diffusion::addon
