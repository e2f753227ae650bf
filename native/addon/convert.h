// `convert` of lib/native/contract.ts.
#pragma once

#include <napi.h>

namespace diffusion::addon {

Napi::Value convert_files(const Napi::CallbackInfo & info);

} // namespace diffusion::addon
