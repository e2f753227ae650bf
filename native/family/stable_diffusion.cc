// See stable_diffusion.h.
#include "family/stable_diffusion.h"

#include <algorithm>

#include "names/tiny_autoencoder_names.h"
#include "network/autoencoder.h"
#include "network/control_net.h"
#include "network/tiny_autoencoder.h"
#include "weights/requirements.h"

namespace diffusion {

namespace {

// The size of the pooled text in published models, used if the second text encoder is missing.
constexpr int64_t xl_pooled = 1280;
constexpr int64_t number_channels = 256;

FamilyPart clip_part(ModelPart part, const char * name, const char * prefix, const char * label, ClipTextUse use,
                     Need need) {
    use.prefix = prefix;
    const auto bind = [part, name, label, use](Model & model) {
        ClipTextUse own = use;
        own.open_clip = model.tensors.open_clip.at(static_cast<size_t>(part));
        model.add(name, label, [&](WeightBinder & weights) { return std::make_unique<ClipText>(weights, own); });
    };
    return {part, name, prefix, need, bind};
}

void bind_unet(Model & model) {
    if (!model.unet) return; // the reason is in model.problems
    model.add("unet", "UNet", [&](WeightBinder & weights) { return std::make_unique<Unet>(weights, *model.unet); });
}

void bind_vae(Model & model) {
    const WeightBinder & weights = *model.weights;
    if (model.has(tiny_vae_prefix)) {
        const VaeSizes sizes = read_tiny_sizes(weights, tiny_vae_prefix);
        model.add("vae_decoder", "VAE decoder",
                  [&](WeightBinder & w) { return std::make_unique<TinyDecoder>(w, tiny_vae_prefix, sizes); });
        if (!sizes.has_encoder) return;
        return model.add("vae_encoder", "VAE encoder",
                         [&](WeightBinder & w) { return std::make_unique<TinyEncoder>(w, tiny_vae_prefix, sizes); });
    }
    const AutoencoderConfig config = AutoencoderConfig::read(weights);
    model.add("vae_decoder", "VAE decoder",
              [&](WeightBinder & w) { return std::make_unique<AutoencoderDecoder>(w, config); });
    if (!config.has_encoder) return;
    model.add("vae_encoder", "VAE encoder",
              [&](WeightBinder & w) { return std::make_unique<AutoencoderEncoder>(w, config); });
}

void bind_tiny_autoencoder(Model & model) {
    const VaeSizes sizes = read_tiny_sizes(*model.weights, tiny_preview_prefix);
    model.add("tiny_decoder", "tiny decoder",
              [&](WeightBinder & w) { return std::make_unique<TinyDecoder>(w, tiny_preview_prefix, sizes); });
    if (!sizes.has_encoder) return;
    model.add("tiny_encoder", "tiny encoder",
              [&](WeightBinder & w) { return std::make_unique<TinyEncoder>(w, tiny_preview_prefix, sizes); });
}

[[noreturn]] void mismatch(const Model & model, const std::string & message) {
    throw Error(ErrorCode::model_mismatch, where(model.tensors.table) + ": " + message);
}

[[noreturn]] void refuse(const std::string & path, const Model & model, const std::string & found) {
    throw Error(ErrorCode::model_mismatch, path + ": expected a ControlNet for this model, of the family '" +
                                               model.family_name + "', but " + found +
                                               ". Use one made for that family.");
}

std::vector<bool> downsamplings(const UnetEncoderConfig & config) {
    std::vector<bool> found;
    for (const UnetStage & stage : config.inputs) found.push_back(!stage.resampler.empty());
    return found;
}

bool attends(const UnetEncoderConfig & c) {
    return c.middle_transformers > 0 ||
           std::ranges::any_of(c.inputs, [](const UnetStage & stage) { return stage.transformers > 0; });
}

// A ControlNet's inputs, and the residuals that it adds to, must match those of the UNet.
void require_fit(const ControlNetConfig & c, const Model & model, const std::string & path) {
    const UnetConfig & unet = *model.unet;
    const auto expect = [&](const char * what, int64_t found, int64_t expected) {
        if (found == expected) return;
        refuse(path, model,
               std::string("its ") + what + " is " + std::to_string(found) + " and the model's is " +
                   std::to_string(expected));
    };
    if (attends(c)) expect("cross-attention width", c.context_size, unet.context_size);
    if (c.vector_size) expect("conditioning vector size", c.vector_size, unet.vector_size);
    if (c.guidance_size) expect("guidance embedding size", c.guidance_size, unet.guidance_size);
    expect("number of latent channels", c.in_channels, unet.out_channels);
    if (c.skip_channels() != unet.skip_channels() || downsamplings(c) != downsamplings(unet)) {
        refuse(path, model, "its blocks differ from those of the UNet");
    }
    expect("scale factor from latent to image", c.hint_factor(), model.facts.decoders.at("vae_decoder").scale_factor);
}

} // namespace

FamilyPart text_encoder_part(const char * label, ClipTextUse use, Need need) {
    return clip_part(ModelPart::text_encoder, "text_encoder", text_prefix, label, std::move(use), need);
}

FamilyPart text_encoder_2_part(const char * label, ClipTextUse use, Need need) {
    return clip_part(ModelPart::text_encoder_2, "text_encoder_2", text_2_prefix, label, std::move(use), need);
}

FamilyPart unet_part() {
    return {ModelPart::unet, "unet", unet_prefix, Need::required, bind_unet};
}

FamilyPart vae_part() {
    return {ModelPart::vae, "vae", vae_prefix, Need::required, bind_vae};
}

FamilyPart tiny_autoencoder_part() {
    return {ModelPart::tiny_autoencoder, "tiny_autoencoder", tiny_preview_prefix, Need::optional,
            bind_tiny_autoencoder};
}

int64_t conditioning_numbers(const Model & model) {
    const int64_t size = model.unet ? model.unet->vector_size : 0;
    if (size == 0) return 0;
    const WeightBinder & weights = *model.weights;
    int64_t pooled = xl_pooled;
    try {
        const ClipTextUse use{text_2_prefix, true, true, true};
        if (model.has(text_2_prefix)) pooled = ClipText::read_config(weights, use).projection;
    } catch (const Error &) {
        // Binding it notes the problem.
    }
    const int64_t numbers = size - pooled;
    return numbers > 0 && numbers % number_channels == 0 ? numbers / number_channels : -1;
}

std::string concat_variant(const Model & model) {
    const int64_t in = model.unet->in_channels, out = model.unet->out_channels;
    if (in == 9 && out == 4) return "-inpaint";
    if (in == 5 && out == 4) return "-depth";
    if (in == 8 && out == 4) return "-edit";
    return "";
}

std::vector<std::pair<std::string, std::string>> absent_components() {
    return {{"vae_encoder", "The VAE of this model has no encoder. Pass a VAE with an encoder (option `vae`)."},
            {"tiny_decoder", "This model was opened without a tiny autoencoder for previews."}};
}

void require_matching_sizes(const Model & model) {
    const ModelFacts & facts = model.facts;
    int64_t width = 0;
    for (const TextEncoderFacts & text : facts.text_encoders) width += text.width;
    if (width != facts.denoiser.context_size) {
        mismatch(model, "the UNet expects hidden states of width " + std::to_string(facts.denoiser.context_size) +
                            ", but the text encoder gives a width of " + std::to_string(width) +
                            ". Use a text encoder of the same family.");
    }
    const VaeFacts & vae = facts.decoders.at("vae_decoder");
    if (vae.latent_channels > facts.denoiser.in_channels || vae.latent_channels != facts.denoiser.out_channels) {
        mismatch(model, "the UNet works on latents of " + std::to_string(facts.denoiser.out_channels) +
                            " channels, but the VAE has " + std::to_string(vae.latent_channels) +
                            ". Use a VAE of the same family.");
    }
    const auto tiny = facts.decoders.find("tiny_decoder");
    if (tiny == facts.decoders.end()) return;
    const auto & [latent_channels, scale_factor, _] = tiny->second;
    if (latent_channels != vae.latent_channels || scale_factor != vae.scale_factor) {
        mismatch(model, "the tiny autoencoder has " + std::to_string(latent_channels) +
                            " latent channels and a scale factor of " + std::to_string(scale_factor) +
                            ", but the VAE has " + std::to_string(vae.latent_channels) + " and " +
                            std::to_string(vae.scale_factor) + ".");
    }
}

std::unique_ptr<ControlNet> bind_unet_control_net(const Model & model, WeightBinder & weights,
                                                  const std::string & path) {
    ControlNetConfig config = ControlNet::read_config(weights);
    config.head_size = model.unet->head_size;
    auto net = std::make_unique<ControlNet>(weights, config);
    require_sound(weights);
    require_fit(config, model, path);
    return net;
}

} // namespace diffusion
