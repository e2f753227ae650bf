// Recognizes components and prefixes in tensor names, and the tensors that may be ignored.
#include "names/names.h"

#include <algorithm>
#include <array>
#include <optional>

#include "names/diffusers_names.h"
#include "names/language_model_names.h"
#include "names/open_clip_names.h"
#include "names/z_image_names.h"

namespace diffusion {

namespace {

// Canonical prefixes of text encoders, of which text_prefix and text_2_prefix are parts.
constexpr std::string_view transformer_prefix = "cond_stage_model.transformer.";
constexpr std::string_view transformer_2_prefix = "conditioner.embedders.1.transformer.";

struct Prefix {
    std::string_view text;
    ModelPart component;
};

// Prefixes of a component's names in a file with several components: first those of the original checkpoints, SD 1 and
// 2 before SDXL and its refiner (whose only encoder is SDXL's second), then those of stable-diffusion.cpp, diffusers'
// own joint exports and ComfyUI.
constexpr std::array<Prefix, 21> prefixes = {{
    {unet_prefix, ModelPart::unet},
    {vae_prefix, ModelPart::vae},
    {control_prefix, ModelPart::control_net},
    {transformer_prefix, ModelPart::text_encoder},
    {"cond_stage_model.model.", ModelPart::text_encoder},
    {"conditioner.embedders.0.transformer.", ModelPart::text_encoder},
    {"conditioner.embedders.0.model.", ModelPart::text_encoder_2},
    {transformer_2_prefix, ModelPart::text_encoder_2},
    {"conditioner.embedders.1.model.", ModelPart::text_encoder_2},
    {"cond_stage_model.1.transformer.", ModelPart::text_encoder_2},
    {"unet.", ModelPart::unet},
    {"diffusion_model.", ModelPart::unet},
    {"vae.", ModelPart::vae},
    {"text_encoder.", ModelPart::text_encoder},
    {"text_encoder_2.", ModelPart::text_encoder_2},
    {"te.", ModelPart::text_encoder},
    {"text_encoders.clip_l.transformer.", ModelPart::text_encoder},
    {"text_encoders.clip_g.transformer.", ModelPart::text_encoder_2},
    {language_prefix, ModelPart::language_model},
    {"text_encoders.qwen3_4b.transformer.", ModelPart::language_model},
    {"text_encoders.qwen3_4b.", ModelPart::language_model},
}};

// Beginnings of names that, in a file without prefixes, identify a component.
constexpr std::array<Prefix, 27> evidence = {{
    {"down_blocks.", ModelPart::unet},
    {"up_blocks.", ModelPart::unet},
    {"input_blocks.", ModelPart::unet},
    {"output_blocks.", ModelPart::unet},
    {"input_hint_block.", ModelPart::control_net},
    {"zero_convs.", ModelPart::control_net},
    {"controlnet_", ModelPart::control_net},
    {"encoder.down.", ModelPart::vae},
    {"encoder.mid", ModelPart::vae},
    {"encoder.down_blocks.", ModelPart::vae},
    {"decoder.up.", ModelPart::vae},
    {"decoder.mid", ModelPart::vae},
    {"decoder.up_blocks.", ModelPart::vae},
    {"text_model.", ModelPart::text_encoder},
    {"embeddings.token_embedding.", ModelPart::text_encoder},
    {"embeddings.position_embedding.", ModelPart::text_encoder},
    {"encoder.layers.0.self_attn.", ModelPart::text_encoder},
    {"transformer.resblocks.", ModelPart::text_encoder},
    {"cap_embedder.", ModelPart::unet},
    {"noise_refiner.", ModelPart::unet},
    {"context_refiner.", ModelPart::unet},
    {"model.layers.0.self_attn.", ModelPart::language_model},
    {"model.language_model.layers.0.self_attn.", ModelPart::language_model},
    {"language_model.model.layers.0.self_attn.", ModelPart::language_model},
    {"layers.0.self_attn.", ModelPart::language_model},
    {"blk.0.attn_q.", ModelPart::language_model},
    {"blk.0.attn_norm.", ModelPart::language_model},
}};

// Beginnings of all names of a component, without prefixes, in the original naming.
constexpr std::array<Prefix, 29> original_names = {{
    {"time_embed.", ModelPart::unet},
    {"label_emb.", ModelPart::unet},
    {"input_blocks.", ModelPart::unet},
    {"middle_block.", ModelPart::unet},
    {"output_blocks.", ModelPart::unet},
    {"out.", ModelPart::unet},
    {"input_hint_block.", ModelPart::control_net},
    {"zero_convs.", ModelPart::control_net},
    {"middle_block_out.", ModelPart::control_net},
    {"encoder.conv_in.", ModelPart::vae},
    {"encoder.down.", ModelPart::vae},
    {"encoder.mid.", ModelPart::vae},
    {"encoder.norm_out.", ModelPart::vae},
    {"encoder.conv_out.", ModelPart::vae},
    {"decoder.conv_in.", ModelPart::vae},
    {"decoder.mid.", ModelPart::vae},
    {"decoder.up.", ModelPart::vae},
    {"decoder.norm_out.", ModelPart::vae},
    {"decoder.conv_out.", ModelPart::vae},
    {"quant_conv.", ModelPart::vae},
    {"post_quant_conv.", ModelPart::vae},
    {"text_model.", ModelPart::text_encoder},
    {"embeddings.", ModelPart::text_encoder},
    {"encoder.layers.", ModelPart::text_encoder},
    {"final_layer_norm.", ModelPart::text_encoder},
    {"text_projection", ModelPart::text_encoder},
    {"logit_scale", ModelPart::text_encoder},
    {"vision_model.", ModelPart::text_encoder},
    {"visual_projection.", ModelPart::text_encoder},
}};

template <size_t size> ModelPart component_of(std::string_view name, const std::array<Prefix, size> & table) {
    for (const Prefix & entry : table) {
        if (name.starts_with(entry.text)) return entry.component;
    }
    return ModelPart::none;
}

// A name split into the recognized prefix (empty if none) and the name within the component.
struct Split {
    std::string_view prefix;
    std::string_view local;
    ModelPart component = ModelPart::none;
};

Split split(std::string_view name) {
    for (const Prefix & prefix : prefixes) {
        if (name.starts_with(prefix.text)) {
            return {prefix.text, name.substr(prefix.text.size()), prefix.component};
        }
    }
    return {{}, name, ModelPart::none};
}

bool is_text_encoder(ModelPart component) {
    return component == ModelPart::text_encoder || component == ModelPart::text_encoder_2;
}

// The text model of transformers 5 and later has no `text_model.` before its names; projection, scale and vision tower
// never had.
std::string text_encoder_name(ModelPart component, std::string_view local) {
    const bool first = component == ModelPart::text_encoder;
    // stable-diffusion.cpp's converter put both into the text model.
    constexpr std::string_view model = "text_model.";
    for (const std::string_view outer : {"text_projection", "logit_scale"}) {
        const bool inside = local.starts_with(model) && local.substr(model.size()).starts_with(outer);
        if (inside) local.remove_prefix(model.size());
    }
    for (const std::string_view root : {"embeddings.", "encoder.", "final_layer_norm."}) {
        if (local.starts_with(root)) return (first ? text_prefix : text_2_prefix) + std::string(local);
    }
    return std::string(first ? transformer_prefix : transformer_2_prefix) + std::string(local);
}

std::string canonical_prefix(ModelPart component) {
    if (component == ModelPart::unet) return unet_prefix;
    if (component == ModelPart::language_model) return language_prefix;
    return component == ModelPart::vae ? vae_prefix : control_prefix;
}

class Namer {
public:
    Namer(const std::vector<std::string> & names, ModelPart expected) {
        bare_.at(static_cast<size_t>(expected)) = true;
        bool takes_vector = false, pools = false, has_second = false;
        for (const std::string & name : names) {
            const Split parts = split(name);
            takes_vector |= parts.component == ModelPart::unet && parts.local.starts_with("label_emb.");
            pools |=
                parts.component == ModelPart::text_encoder && parts.local.starts_with("text_model.text_projection");
            has_second |= parts.component == ModelPart::text_encoder_2;
            if (parts.prefix.empty()) {
                const ModelPart evident = component_of(name, evidence);
                // Names alone do not distinguish text encoders.
                const bool expected_text = is_text_encoder(evident) && is_text_encoder(expected);
                bare_.at(static_cast<size_t>(expected_text ? expected : evident)) = true;
            }
            unet_.note(parts.local);
            control_net_.note(parts.local);
            vae_.note(parts.local);
        }
        // It shares most names with a UNet, and a file cannot contain both without prefixes.
        if (is_bare(ModelPart::control_net)) bare_.at(static_cast<size_t>(ModelPart::unet)) = false;
        is_refiner_ = takes_vector && pools && !has_second;
    }

    void add(const std::string & name, CanonicalNames & result) {
        const Split parts = split(name);
        ModelPart component = parts.component;
        if (is_refiner_ && component == ModelPart::text_encoder) component = ModelPart::text_encoder_2;
        std::optional<std::string> canonical;
        bool diffusers = false;
        for (const ModelPart candidate :
             {ModelPart::unet, ModelPart::control_net, ModelPart::vae, ModelPart::text_encoder,
              ModelPart::text_encoder_2, ModelPart::language_model}) {
            const bool possible = parts.prefix.empty() ? is_bare(candidate) : component == candidate;
            if (!possible || canonical) continue;
            canonical = is_text_encoder(candidate) ? convert_text(candidate, parts, diffusers, result)
                                                   : convert(candidate, parts.local, diffusers);
            if (canonical) component = candidate;
        }
        if (canonical) (diffusers ? n_diffusers_ : n_ldm_)++;
        result.names.push_back(canonical ? std::move(*canonical) : name);
        result.components.push_back(component);
    }

    std::string layout() const {
        if (n_diffusers_ == 0 && n_ldm_ == 0) return "";
        return n_diffusers_ > n_ldm_ ? "diffusers" : "ldm";
    }

private:
    bool is_bare(ModelPart component) const { return bare_.at(static_cast<size_t>(component)); }

    // Nothing if `local` is not a name of the component in any naming.
    std::optional<std::string> convert(ModelPart component, std::string_view local, bool & diffusers) const {
        std::optional<std::string> name;
        if (component == ModelPart::unet) name = unet_.convert(local);
        if (component == ModelPart::control_net) name = control_net_.convert(local);
        if (component == ModelPart::vae) name = vae_.convert(local);
        diffusers = name.has_value();
        if (!name && component == ModelPart::unet) name = z_image_name(local, diffusers);
        if (!name && component == ModelPart::language_model) name = language_model_name(local);
        const ModelPart original = component_of(local, original_names);
        const bool shared = component == ModelPart::control_net && original == ModelPart::unet;
        if (!name && (original == component || shared)) name = std::string(local);
        if (!name) return std::nullopt;
        return canonical_prefix(component) + *name;
    }

    static std::optional<std::string> convert_text(ModelPart component, const Split & parts, bool & diffusers,
                                                   CanonicalNames & result) {
        std::optional<std::string> name = from_open_clip(parts.local);
        // The projection has the same name in both.
        if (name && *name != parts.local) result.open_clip.at(static_cast<size_t>(component)) = true;
        const bool original = parts.prefix.starts_with("cond_stage_model.") || parts.prefix.starts_with("conditioner.");
        diffusers = !original && !name;
        if (!name && component_of(parts.local, original_names) == ModelPart::text_encoder) name = parts.local;
        return name ? std::optional(text_encoder_name(component, *name)) : std::nullopt;
    }

    std::array<bool, part_count> bare_ = {}; // by ModelPart: names without a prefix may be of it
    bool is_refiner_ = false; // SDXL's, whose only encoder stable-diffusion.cpp's converter named like a first one
    DiffusersUnet unet_;
    DiffusersControlNet control_net_;
    DiffusersVae vae_;
    size_t n_ldm_ = 0, n_diffusers_ = 0;
};

} // namespace

const char * part_name(ModelPart component) {
    switch (component) {
        case ModelPart::unet: return "UNet";
        case ModelPart::text_encoder: return "text encoder";
        case ModelPart::text_encoder_2: return "second text encoder";
        case ModelPart::language_model: return "language model";
        case ModelPart::vae: return "VAE";
        case ModelPart::control_net: return "ControlNet";
        case ModelPart::tiny_autoencoder: return "tiny autoencoder";
        case ModelPart::none: break;
    }
    return "model";
}

CanonicalNames canonical_names(const std::vector<std::string> & names, ModelPart expected) {
    Namer namer(names, expected);
    CanonicalNames result;
    result.names.reserve(names.size());
    result.components.reserve(names.size());
    for (const std::string & name : names) namer.add(name, result);
    result.layout = namer.layout();
    return result;
}

std::string converted_name(std::string canonical_name) {
    if (!canonical_name.ends_with(open_clip_projection)) return canonical_name;
    return canonical_name.replace(canonical_name.size() - open_clip_projection.size(), open_clip_projection.size(),
                                  ".model.text_projection");
}

bool ignorable(std::string_view name) {
    constexpr std::string_view full_names[] = {
        "betas",
        "alphas_cumprod_prev",
        "sqrt_alphas_cumprod",
        "sqrt_one_minus_alphas_cumprod",
        "log_one_minus_alphas_cumprod",
        "sqrt_recip_alphas_cumprod",
        "sqrt_recipm1_alphas_cumprod",
        "posterior_variance",
        "posterior_log_variance_clipped",
        "posterior_mean_coef1",
        "posterior_mean_coef2",
        "logvar",
        "lvlb_weights",
        "scale_factor",
        "denoiser.log_sigmas",
        "cond_stage_model.text_projection",
        // SDXL text projections written by ComfyUI: for the encoder that has none, and under a second name.
        "conditioner.embedders.0.text_projection",
        "conditioner.embedders.1.model.transformer.text_projection.weight",
        // Training counters.
        "global_step",
        "epoch",
        "step",
        "initted",
        "cond_stage_model.transformer.attn_mask",
        "conditioner.embedders.1.transformer.attn_mask",
    };
    constexpr std::string_view beginnings[] = {
        "model_ema.",
        "first_stage_model.model_ema.",
        "first_stage_model.loss.",
        "loss.",
        "cond_stage_model.transformer.text_projection",
        "cond_stage_model.transformer.vision_model.",
        "cond_stage_model.transformer.visual_projection.",
        "conditioner.embedders.1.transformer.vision_model.",
        "conditioner.embedders.1.transformer.visual_projection.",
        "embedding_manager.", // of textual inversion: a copy of the text encoder
        "optimizer.",
        "optimizer_states.",
        "lr_schedulers.",
        "callbacks.",
        "depth_model.", // estimates the depth that a depth-to-image UNet needs
    };
    constexpr std::string_view endings[] = {".position_ids", ".num_batches_tracked", ".logit_scale"};
    return std::ranges::find(full_names, name) != std::end(full_names) ||
           std::ranges::any_of(beginnings, [&](std::string_view text) { return name.starts_with(text); }) ||
           std::ranges::any_of(endings, [&](std::string_view text) { return name.ends_with(text); });
}

} // namespace diffusion
