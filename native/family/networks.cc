// See networks.h.
#include "family/networks.h"

#include <algorithm>

#include "family/prediction.h"
#include "io/file_error.h"
#include "names/names.h"
#include "names/tiny_autoencoder_names.h"
#include "network/autoencoder.h"
#include "network/tiny_autoencoder.h"
#include "source/file_kind.h"
#include "weights/requirements.h"

namespace diffusion {

namespace {

// SDXL and its refiner embed that many numbers beside the pooled text, each in 256 channels: two sizes and a place; one size,
// a place and a score.
constexpr int64_t number_channels = 256, xl_numbers = 6, refiner_numbers = 5;
// Of the published models, where the second text encoder is not at hand.
constexpr int64_t xl_pooled = 1280;

bool has_prefix(const TensorTable & table, const std::string & prefix) {
    return std::any_of(table.tensors().begin(), table.tensors().end(),
                       [&](const StoredTensor & t) { return t.name.compare(0, prefix.size(), prefix) == 0; });
}

// The family by what only its checkpoints hold; empty where none matches.
std::string recognise(const TensorTable & table, const Unet * unet, const ClipText * text_2) {
    const auto unet_has = [&](const char * name) { return has_prefix(table, std::string(unet_prefix) + name); };
    if (unet_has("double_blocks.") || has_prefix(table, "double_blocks.")) return "flux";
    if (unet_has("joint_blocks.") || has_prefix(table, "joint_blocks.")) return "sd3";
    if (!unet) return "";
    const UnetConfig & c = unet->config();
    const int64_t in = c.in_channels, out = c.out_channels;
    std::string family = c.head_size > 0 ? "sd2" : "sd1";
    if (c.vector_size) {
        const int64_t numbers = c.vector_size - (text_2 ? text_2->config().projection : xl_pooled);
        if (numbers != xl_numbers * number_channels && numbers != refiner_numbers * number_channels) return "";
        family = numbers == xl_numbers * number_channels ? "sdxl" : "sdxl-refiner";
    }
    if (in == 9 && out == 4) family += "-inpaint";
    if (in == 5 && out == 4) family += "-depth";
    if (in == 8 && out == 4) family += "-edit";
    return family;
}

// Calls `make` where the files hold tensors of the prefix.
template <typename Make>
auto bind_one(Networks & networks, const char * prefix, Make make) -> decltype(make(*networks.weights)) {
    if (!has_prefix(networks.tensors.table, prefix)) return nullptr;
    try {
        return make(*networks.weights);
    } catch (const Error & error) {
        networks.problems.push_back(error.what());
        return nullptr;
    }
}

ComponentInfo describe(const TensorTable & table, const char * kind, const std::string & prefix) {
    ComponentInfo info;
    info.kind = kind;
    for (const StoredTensor & tensor : table.tensors()) {
        if (tensor.name.compare(0, prefix.size(), prefix) != 0) continue;
        info.parameters += tensor.n_elements();
        info.n_bytes += static_cast<int64_t>(tensor.n_bytes);
        info.types[std::string(tensor.type->name)]++;
    }
    return info;
}

void describe_text_encoder(Networks & n, const ClipText * text, const char * kind, const char * prefix) {
    if (!text) return;
    ComponentInfo info = describe(n.tensors.table, kind, prefix);
    const ClipTextConfig & c = text->config();
    info.config = {{"width", c.width},         {"layers", c.layers},         {"heads", c.heads},
                   {"positions", c.positions}, {"vocabulary", c.vocabulary}, {"intermediate", c.intermediate},
                   {"openClip", c.open_clip}};
    n.components.push_back(std::move(info));
}

std::map<std::string, ConfigValue> describe(const Vae & vae) {
    const VaeSizes sizes = vae.sizes();
    return {{"latentChannels", sizes.latent_channels},
            {"levelChannels", sizes.level_channels},
            {"scaleFactor", sizes.scale_factor},
            {"encoder", sizes.has_encoder},
            {"tiny", sizes.tiny}};
}

void describe_components(Networks & n) {
    const TensorTable & table = n.tensors.table;
    describe_text_encoder(n, n.text.get(), "text_encoder", text_prefix);
    describe_text_encoder(n, n.text_2.get(), "text_encoder_2", text_2_prefix);
    if (n.unet) {
        ComponentInfo info = describe(table, "unet", unet_prefix);
        const UnetConfig & c = n.unet->config();
        std::vector<int64_t> channels;
        for (const UnetStage & stage : c.inputs) channels.push_back(stage.channels);
        info.config = {{"inChannels", c.in_channels},       {"outChannels", c.out_channels},
                       {"modelChannels", c.model_channels}, {"contextSize", c.context_size},
                       {"vectorSize", c.vector_size},       {"guidanceSize", c.guidance_size},
                       {"downsampling", c.downsampling()},  {"blockChannels", channels}};
        n.components.push_back(std::move(info));
    }
    if (n.vae) {
        ComponentInfo info = describe(table, "vae", vae_prefix);
        info.config = describe(*n.vae);
        n.components.push_back(std::move(info));
    }
    if (n.tiny) {
        ComponentInfo info = describe(table, "tiny_autoencoder", tiny_preview_prefix);
        info.config = describe(*n.tiny);
        n.components.push_back(std::move(info));
    }
}

void bind_noise(Networks & n, const NoiseGiven & given) {
    const TensorTable & table = n.tensors.table;
    try {
        Noise noise = read_noise(n.tensors.noise, given);
        table.check_unchanged();
        if (noise.prediction.empty()) noise.prediction = likely_prediction(table, n.family);
        if (noise.prediction != "epsilon" && noise.prediction != "v") {
            throw Error(ErrorCode::model_unsupported,
                        "Expected a UNet that predicts epsilon or v, found one trained to predict " +
                            quote(noise.prediction) + ".");
        }
        if (noise.zero_terminal_snr && noise.prediction == "epsilon") {
            noise.warnings.push_back(
                "The noise levels of this model begin with noise alone, of which a prediction of epsilon "
                "says nothing; such models predict v (option `prediction`)");
        }
        n.noise = std::move(noise);
    } catch (const Error & error) {
        table.check_unchanged(); // what was read of a file that changed meanwhile is no fault of the model
        if (error.code() != ErrorCode::model_unsupported) throw;
        n.problems.push_back(error.what());
    }
}

std::string where(const Networks & n) {
    return where(n.tensors.table);
}

[[noreturn]] void refuse_unknown(const Networks & n) {
    throw Error(ErrorCode::model_unsupported, where(n) + ": expected a Stable Diffusion model, but " +
                                                  contents(n.tensors.table) +
                                                  ". Pass a checkpoint of Stable Diffusion 1.x, 2.x or XL.");
}

std::string with_its_option(Component absent) {
    switch (absent) {
        case Component::unet: return "the UNet (option `unet`)";
        case Component::text_encoder: return "the text encoder (option `textEncoder`)";
        case Component::text_encoder_2: return "the second text encoder (option `textEncoder2`)";
        default: return "the VAE (option `vae`)";
    }
}

void require_matching_sizes(const Networks & n) {
    int64_t width = 0;
    for (const ClipText * text : text_encoders(n)) width += text->config().width;
    const int64_t context = n.unet->config().context_size;
    if (width != context) {
        throw Error(ErrorCode::model_mismatch, where(n) + ": the UNet expects hidden states of width " +
                                                   std::to_string(context) + ", but the text encoder gives width " +
                                                   std::to_string(width) + ". Use a text encoder of the same family.");
    }
    const int64_t latent = n.vae->sizes().latent_channels;
    if (latent > n.unet->config().in_channels || latent != n.unet->config().out_channels) {
        throw Error(ErrorCode::model_mismatch,
                    where(n) + ": the UNet works on latents of " + std::to_string(n.unet->config().out_channels) +
                        " channels, but the VAE has " + std::to_string(latent) + ". Use a VAE of the same family.");
    }
    if (!n.tiny) return;
    const VaeSizes tiny = n.tiny->sizes(), vae = n.vae->sizes();
    if (tiny.latent_channels != vae.latent_channels || tiny.scale_factor != vae.scale_factor) {
        throw Error(ErrorCode::model_mismatch,
                    where(n) + ": the tiny autoencoder takes latents of " + std::to_string(tiny.latent_channels) +
                        " channels and cells of " + std::to_string(tiny.scale_factor) + " pixels, but the VAE has " +
                        std::to_string(vae.latent_channels) + " and " + std::to_string(vae.scale_factor) + ".");
    }
}

} // namespace

std::unique_ptr<Networks> bind_networks(const Source & source, const NoiseGiven & given,
                                        const Cancellation & cancellation) {
    auto n = std::make_unique<Networks>();
    n->tensors = open_source(source, cancellation);
    const TensorTable & table = n->tensors.table;
    n->weights = std::make_unique<WeightBinder>(table);
    n->kind = file_kind(table);
    // What only goes with a model may have names like those of its networks.
    if (!what_to_do_with(n->kind).empty()) return n;
    const auto is_open_clip = [&](Component component) {
        return n->tensors.open_clip.at(static_cast<size_t>(component));
    };
    n->unet = bind_one(*n, unet_prefix, [&](WeightBinder & weights) {
        return std::make_unique<Unet>(weights, Unet::read_config(weights, is_open_clip(Component::text_encoder)));
    });
    const bool xl = n->unet && n->unet->config().vector_size;
    const auto bind_text = [&](const char * prefix, Component component, bool pooled) {
        return bind_one(*n, prefix, [&](WeightBinder & weights) {
            return std::make_unique<ClipText>(weights, ClipTextUse{prefix, is_open_clip(component), xl, pooled});
        });
    };
    n->text = bind_text(text_prefix, Component::text_encoder, false);
    n->text_2 = bind_text(text_2_prefix, Component::text_encoder_2, true);
    const bool tiny_vae = has_prefix(table, tiny_vae_prefix);
    n->vae = bind_one(*n, vae_prefix, [&](WeightBinder & weights) -> std::unique_ptr<Vae> {
        if (tiny_vae) return std::make_unique<TinyAutoencoder>(weights, tiny_vae_prefix);
        return std::make_unique<Autoencoder>(weights, Autoencoder::read_config(weights));
    });
    n->tiny = bind_one(*n, tiny_preview_prefix, [](WeightBinder & weights) -> std::unique_ptr<Vae> {
        return std::make_unique<TinyAutoencoder>(weights, tiny_preview_prefix);
    });
    n->family = recognise(table, n->unet.get(), n->text_2.get());
    bind_noise(*n, given);
    n->unused = unused_tensors(*n->weights);
    describe_components(*n);
    return n;
}

std::vector<Component> absent_networks(const Networks & n) {
    std::vector<Component> absent;
    const bool xl = n.unet && n.unet->config().vector_size, refiner = n.family.starts_with("sdxl-refiner");
    const bool has_text = has_prefix(n.tensors.table, text_prefix),
               has_text_2 = has_prefix(n.tensors.table, text_2_prefix);
    if (!has_prefix(n.tensors.table, unet_prefix)) absent.push_back(Component::unet);
    if (!has_text && !refiner && (n.unet || !has_text_2)) absent.push_back(Component::text_encoder);
    if (!has_text_2 && xl) absent.push_back(Component::text_encoder_2);
    if (!has_prefix(n.tensors.table, vae_prefix)) absent.push_back(Component::vae);
    return absent;
}

std::vector<const ClipText *> text_encoders(const Networks & n) {
    std::vector<const ClipText *> encoders;
    const bool refiner = n.family.starts_with("sdxl-refiner");
    if (n.text && !refiner) encoders.push_back(n.text.get());
    if (n.text_2) encoders.push_back(n.text_2.get());
    return encoders;
}

void require_runnable(const Networks & n) {
    const std::string what = what_to_do_with(n.kind);
    if (!what.empty()) {
        throw Error(ErrorCode::model_unsupported,
                    where(n) + ": expected a Stable Diffusion model, found " + what + ".");
    }
    const std::vector<Component> absent = absent_networks(n);
    if (n.family == "flux" || n.family == "sd3") {
        throw Error(ErrorCode::model_unsupported,
                    where(n) + ": expected a model of Stable Diffusion 1.x, 2.x or XL, found one of the family '" +
                        n.family + "', which this version does not run.");
    }
    if (absent.size() == 3 && !has_prefix(n.tensors.table, text_2_prefix)) refuse_unknown(n);
    if (n.unet && n.family.empty()) {
        throw Error(ErrorCode::model_unsupported,
                    where(n) + ": expected a UNet of Stable Diffusion 1.x, 2.x or XL, found one that adds " +
                        std::to_string(n.unet->config().vector_size) +
                        " numbers to its timesteps, which no model of these families does.");
    }
    if (!n.problems.empty()) throw Error(ErrorCode::model_unsupported, where(n) + ": " + n.problems.front());
    if (!absent.empty()) {
        std::vector<std::string> names;
        for (Component component : absent) names.push_back(with_its_option(component));
        throw Error(ErrorCode::model_incomplete, where(n) + ": expected a whole model, but " + some_of(names) +
                                                     (absent.size() > 1 ? " are" : " is") + " missing.");
    }
    require_sound(*n.weights);
    require_matching_sizes(n);
}

} // namespace diffusion
