// Z-Image, base and Turbo: a transformer with flow matching, the hidden states of Qwen3, and the VAE of FLUX.1.
#include "network/z_image.h"
#include "family/language_model_part.h"
#include "family/stable_diffusion.h"
#include "weights/requirements.h"

namespace diffusion {

namespace {

void bind_transformer(Model & model) {
    model.add("transformer", "transformer",
              [&](WeightBinder & weights) { return std::make_unique<ZImage>(weights, ZImage::read_config(weights)); });
}

[[noreturn]] void mismatch(const Model & model, const std::string & message) {
    throw Error(ErrorCode::model_mismatch, where(model.tensors.table) + ": " + message);
}

void require_fit(const Model & model) {
    const ModelFacts & facts = model.facts;
    const int64_t width = facts.text_encoders.at(0).width, expected = facts.denoiser.context_size;
    if (width != expected) {
        mismatch(model, "expected a language model of width " + std::to_string(expected) +
                            (expected == 2560 ? ", which is Qwen3-4B," : "") + " but found one of width " +
                            std::to_string(width) + ". Pass the one that Z-Image was trained with (option `llm`).");
    }
    const VaeFacts & vae = facts.decoders.at("vae_decoder");
    const auto tiny = facts.decoders.find("tiny_decoder");
    if (tiny != facts.decoders.end() &&
        (tiny->second.latent_channels != vae.latent_channels || tiny->second.scale_factor != vae.scale_factor)) {
        mismatch(model, "expected a tiny autoencoder with " + std::to_string(vae.latent_channels) +
                            " latent channels, as TAEF1 has, but found one with " +
                            std::to_string(tiny->second.latent_channels) + ". Pass TAEF1 (option `taesd`).");
    }
    if (vae.latent_channels != facts.denoiser.in_channels) {
        mismatch(model, "expected a VAE with " + std::to_string(facts.denoiser.in_channels) +
                            " latent channels, which is that of FLUX.1, but found one with " +
                            std::to_string(vae.latent_channels) + ". Pass ae.safetensors (option `vae`).");
    }
}

} // namespace

const Family & z_image() {
    static const Family family = {
        .name = "z-image",
        .flow = true,
        .matches = [](const Model & model) { return ZImage::is(*model.weights); },
        // The last layer is not used.
        .parts = {language_model_part(1),
                  {ModelPart::unet, "transformer", unet_prefix, Need::required, bind_transformer},
                  vae_part(),
                  tiny_autoencoder_part()},
        .absent = absent_components(),
        .require_fit = require_fit,
    };
    return family;
}

} // namespace diffusion
