// The network from images to images that JavaScript holds: each method is a call to the worker that owns its engine.
#pragma once

#include <napi.h>

#include "addon/engine_class.h"
#include "runtime/image_engine.h"

namespace diffusion::addon {

class ImageNetworkClass : public EngineClass<ImageNetworkClass, ImageEngine> {
public:
    static constexpr const char * class_name = "An ImageNetwork";
    static constexpr auto class_reference = &Environment::image_network_class;

    // `openImageNetwork` of the contract.
    static Napi::Value open(const Napi::CallbackInfo & info);
    static Napi::Function define(Napi::Env env);

    using EngineClass::EngineClass;

private:
    Napi::Value evaluate(const Napi::CallbackInfo & info);
};

} // namespace diffusion::addon
