// Opening a network from images to images and calling it.
#include "addon/image_network_class.h"

#include <utility>

namespace diffusion::addon {

Napi::Function ImageNetworkClass::define(Napi::Env env) {
    return DefineClass(env, "ImageNetwork",
                       {InstanceMethod<&ImageNetworkClass::evaluate>("evaluate"),
                        InstanceMethod("profile", &ImageNetworkClass::profile),
                        InstanceMethod("dispose", &ImageNetworkClass::dispose)});
}

Napi::Value ImageNetworkClass::open(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "opening the network";
    return promise_of(info.Env(), purpose, [&] {
        const auto path = read_string(info[0], "path");
        return open_engine(info[1], purpose, [path](const EngineOptions & options, const Cancellation & cancellation) {
            return ImageEngine::open(path, options, cancellation);
        });
    });
}

Napi::Value ImageNetworkClass::evaluate(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "evaluating the network";
    return promise_of(info.Env(), purpose, [&] {
        auto image = read_floats(info[0], "image");
        const auto shape = read_shape(info[1], image.size());
        return evaluate_array(info, read_cancellation(info[2]), purpose,
                              [image = std::move(image), shape](ImageEngine & engine, const Cancellation & flag) {
                                  return engine.evaluate(image, shape, flag);
                              });
    });
}

} // namespace diffusion::addon
