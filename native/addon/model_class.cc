// Opening a model and calling it. Arguments are copied before a call is queued; JavaScript may change them afterwards.
#include "addon/model_class.h"

#include <limits>
#include <utility>

namespace diffusion::addon {

Napi::Function ModelClass::define(Napi::Env env) {
    return DefineClass(env, "Model",
                       {InstanceMethod<&ModelClass::set_loras>("setLoras"),
                        InstanceMethod<&ModelClass::set_control_nets>("setControlNets"),
                        InstanceMethod<&ModelClass::encode_text>("encodeText"),
                        InstanceMethod<&ModelClass::predict>("predict"), InstanceMethod<&ModelClass::decode>("decode"),
                        InstanceMethod<&ModelClass::encode>("encode"), InstanceMethod<&ModelClass::preview>("preview"),
                        InstanceMethod("profile", &ModelClass::profile),
                        InstanceMethod("dispose", &ModelClass::dispose)});
}

Napi::Value ModelClass::open(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "opening the model";
    return promise_of(info.Env(), purpose, [&] {
        const auto source = read_source(info[0]);
        const auto given = read_noise_given(info[1]);
        return open_engine(info[1], purpose,
                           [source, given](const EngineOptions & options, const Cancellation & cancellation) {
                               return Engine::open(source, given, options, cancellation);
                           });
    });
}

Napi::Value ModelClass::set_loras(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "LoRAs";
    return promise_of(info.Env(), purpose, [&] {
        return call(info, read_cancellation(info[1]), purpose,
                    [files = read_loras(info[0]),
                     all = info[2].ToBoolean().Value()](Engine & engine, const Cancellation & flag) -> Result {
                        return [reports = engine.set_loras(files, all, flag)](Napi::Env env) {
                            return loras_to_js(env, reports);
                        };
                    });
    });
}

Napi::Value ModelClass::encode_text(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "encoding the prompt";
    return promise_of(info.Env(), purpose, [&] {
        constexpr int64_t most = std::numeric_limits<int32_t>::max();
        const auto encoder = read_integer(info[0], "encoder", 0, most);
        auto tokens = read_int32s(info[1], "tokens");
        const auto clip_skip = read_integer(info[2], "clipSkip", 1, most);
        auto vectors = info[4].IsUndefined() ? std::vector<float>() : read_floats(info[4], "vectors");
        return call(info, read_cancellation(info[3]), purpose,
                    [encoder, tokens = std::move(tokens), vectors = std::move(vectors),
                     clip_skip](Engine & engine, const Cancellation & flag) -> Result {
                        return [encoding = engine.encode_text(encoder, tokens, vectors, clip_skip, flag)](
                                   Napi::Env env) mutable { return text_encoding_to_js(env, encoding); };
                    });
    });
}

Napi::Value ModelClass::set_control_nets(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "ControlNets";
    return promise_of(info.Env(), purpose, [&] {
        auto paths = read_strings(info[0], "paths");
        return call(info, read_cancellation(info[1]), purpose,
                    [paths = std::move(paths)](Engine & engine, const Cancellation & flag) -> Result {
                        engine.set_control_nets(paths, flag);
                        return [](Napi::Env env) { return env.Undefined(); };
                    });
    });
}

Napi::Value ModelClass::predict(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "evaluating the UNet";
    return promise_of(info.Env(), purpose, [&] {
        auto latent = read_floats(info[0], "latent");
        const auto shape = read_shape(info[1], latent.size());
        auto timesteps = read_floats(info[2], "timesteps");
        auto condition = read_condition(info[3]);
        return evaluate_array(info, read_cancellation(info[4]), purpose,
                              [latent = std::move(latent), shape, timesteps = std::move(timesteps),
                               condition = std::move(condition)](Engine & engine, const Cancellation & flag) {
                                  return engine.predict(latent, shape, timesteps, condition, flag);
                              });
    });
}

Napi::Value ModelClass::decode(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "decoding the image";
    return promise_of(info.Env(), purpose, [&] {
        auto latent = read_floats(info[0], "latent");
        const auto shape = read_shape(info[1], latent.size());
        const auto tileable = read_tileable(info[3]);
        return evaluate_array(
            info, read_cancellation(info[2]), purpose,
            [latent = std::move(latent), shape, tileable](Engine & engine, const Cancellation & flag) {
                return engine.decode(latent, shape, tileable, flag);
            });
    });
}

Napi::Value ModelClass::encode(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "encoding the image";
    return promise_of(info.Env(), purpose, [&] {
        auto image = read_floats(info[0], "image");
        const auto shape = read_shape(info[1], image.size());
        const auto tileable = read_tileable(info[3]);
        return evaluate_array(info, read_cancellation(info[2]), purpose,
                              [image = std::move(image), shape, tileable](Engine & engine, const Cancellation & flag) {
                                  return engine.encode(image, shape, tileable, flag);
                              });
    });
}

Napi::Value ModelClass::preview(const Napi::CallbackInfo & info) {
    constexpr auto purpose = "the preview";
    return promise_of(info.Env(), purpose, [&] {
        auto latent = read_floats(info[0], "latent");
        const auto shape = read_shape(info[1], latent.size());
        const auto tileable = read_tileable(info[3]);
        return evaluate_array(
            info, read_cancellation(info[2]), purpose,
            [latent = std::move(latent), shape, tileable](Engine & engine, const Cancellation & flag) {
                return engine.preview(latent, shape, tileable, flag);
            });
    });
}

} // namespace diffusion::addon
