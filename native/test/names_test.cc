// Tensor names: all spellings of Stable Diffusion's names are mapped to the original ones.
#include <fstream>
#include <map>
#include <sstream>
#include <tuple>

#include "check.h"
#include "names/names.h"
#include "source/source.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

using Pair = std::pair<std::string, std::string>; // diffusers' name, original name

struct Golden {
    std::string model, component;
    std::vector<Pair> pairs;
};

// test/reference/names.txt, made by names.py from diffusers and transformers.
std::vector<Golden> read_goldens() {
    struct Block {
        size_t golden;
        std::string diffusers, original;
        int leaf_set;
    };
    std::vector<Golden> goldens;
    std::vector<Block> blocks;
    std::map<int, std::vector<Pair>> leaf_sets;
    int leaf_set = 0;
    std::ifstream file("test/reference/names.txt");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string kind, a, b;
        words >> kind;
        if (kind == "model" && words >> a >> b) goldens.push_back({a, b, {}});
        if (kind == "leaves") words >> leaf_set;
        if (kind == "leaf" && words >> a >> b) leaf_sets[leaf_set].emplace_back(a, b);
        int number = 0;
        if (kind == "block" && words >> a >> b >> number) {
            blocks.push_back({goldens.size() - 1, a == "-" ? "" : a, b == "-" ? "" : b, number});
        }
    }
    for (const Block & block : blocks) {
        for (const auto & [diffusers, original] : leaf_sets[block.leaf_set]) {
            goldens[block.golden].pairs.emplace_back(block.diffusers + diffusers, block.original + original);
        }
    }
    return goldens;
}

std::string prefix_of(const std::string & component) {
    if (component == "unet") return unet_prefix;
    return component == "vae" ? vae_prefix : "cond_stage_model.transformer.";
}

ModelPart kind_of(const std::string & component) {
    if (component == "unet") return ModelPart::unet;
    return component == "vae" ? ModelPart::vae : ModelPart::text_encoder;
}

// Maps the names of one component in one spelling, and compares all of them.
void check_names(const Golden & golden, const std::string & how, const std::function<std::string(const Pair &)> & spell,
                 const std::string & layout, ModelPart expected = ModelPart::none) {
    std::vector<std::string> names;
    for (const Pair & pair : golden.pairs) names.push_back(spell(pair));
    const CanonicalNames canonical = canonical_names(names, expected);
    const std::string what = golden.model + " " + golden.component + ", " + how;
    check_equal(canonical.layout, layout, what + ": layout");
    for (size_t i = 0; i < names.size(); i++) {
        const std::string wanted = prefix_of(golden.component) + golden.pairs[i].second;
        check(canonical.names[i] == wanted && canonical.components[i] == kind_of(golden.component),
              what + ": " + names[i] + " became " + canonical.names[i]);
    }
}

void names_agree_with_diffusers() {
    const std::map<std::string, size_t> counts = {{"sd15 unet", 686}, {"sd15 vae", 248}, {"sd15 text_encoder", 196}};
    const std::vector<Golden> goldens = read_goldens();
    check_equal(goldens.size(), 7u, "the golden file has 7 components");
    for (const Golden & golden : goldens) {
        const auto count = counts.find(golden.model + " " + golden.component);
        if (count != counts.end()) check_equal(golden.pairs.size(), count->second, count->first + " is complete");
        const std::string joint = (golden.component == "text_encoder" ? "te" : golden.component) + ".";
        check_names(
            golden, "diffusers", [](const Pair & pair) { return pair.first; }, "diffusers");
        check_names(
            golden, "diffusers in its folder", [](const Pair & pair) { return pair.first; }, "diffusers",
            kind_of(golden.component));
        check_names(
            golden, "diffusers after a prefix", [&](const Pair & pair) { return joint + pair.first; }, "diffusers");
        check_names(
            golden, "original", [&](const Pair & pair) { return prefix_of(golden.component) + pair.second; }, "ldm");
        check_names(
            golden, "original without a prefix", [](const Pair & pair) { return pair.second; },
            golden.component == "text_encoder" ? "diffusers" : "ldm");
    }
}

// All three components at once: the names of one must not confuse those of another.
void names_of_a_complete_model_agree() {
    std::vector<std::string> names, wanted;
    for (const Golden & golden : read_goldens()) {
        if (golden.model != "sd15") continue;
        for (const Pair & pair : golden.pairs) {
            names.push_back(pair.first);
            wanted.push_back(prefix_of(golden.component) + pair.second);
        }
    }
    check(canonical_names(names).names == wanted, "bare names of three components in one file");
}

void knows_other_spellings() {
    const std::string mid = "first_stage_model.decoder.mid.attn_1.";
    const Pair rows[] = {
        {"vae.decoder.mid_block.attentions.0.group_norm.weight", mid + "norm.weight"},
        {"vae.decoder.mid_block.attentions.0.query.weight", mid + "q.weight"},
        {"vae.decoder.mid_block.attentions.0.key.bias", mid + "k.bias"},
        {"vae.decoder.mid_block.attentions.0.value.weight", mid + "v.weight"},
        {"vae.decoder.mid_block.attentions.0.proj_attn.weight", mid + "proj_out.weight"},
        {"cond_stage_model.transformer.encoder.layers.3.mlp.fc1.weight",
         text_prefix + std::string("encoder.layers.3.mlp.fc1.weight")},
        {"cond_stage_model.transformer.embeddings.position_ids", text_prefix + std::string("embeddings.position_ids")},
        {"text_encoders.clip_l.transformer.text_model.final_layer_norm.bias",
         text_prefix + std::string("final_layer_norm.bias")},
        {"text_encoder.text_model.final_layer_norm.bias", text_prefix + std::string("final_layer_norm.bias")},
        {"te.text_projection.weight", "cond_stage_model.transformer.text_projection.weight"},
    };
    for (const auto & [name, wanted] : rows) check_equal(canonical_names({name}).names.at(0), wanted, name);
}

void knows_the_text_encoders_of_sd2_and_sdxl() {
    const std::string first = text_prefix, second = text_2_prefix;
    const Pair rows[] = {
        {"cond_stage_model.model.ln_final.bias", first + "final_layer_norm.bias"},
        {"cond_stage_model.model.positional_embedding", first + "embeddings.position_embedding.weight"},
        {"cond_stage_model.model.token_embedding.weight", first + "embeddings.token_embedding.weight"},
        {"cond_stage_model.model.transformer.resblocks.11.attn.in_proj_weight",
         first + "encoder.layers.11.self_attn.in_proj_weight"},
        {"cond_stage_model.model.transformer.resblocks.0.mlp.c_fc.bias", first + "encoder.layers.0.mlp.fc1.bias"},
        {"cond_stage_model.model.text_projection", "cond_stage_model.transformer.text_projection"},
        {"conditioner.embedders.0.transformer.text_model.final_layer_norm.bias", first + "final_layer_norm.bias"},
        {"conditioner.embedders.0.model.ln_final.bias", second + "final_layer_norm.bias"},
        {"conditioner.embedders.1.model.transformer.resblocks.3.ln_2.weight",
         second + "encoder.layers.3.layer_norm2.weight"},
        {"conditioner.embedders.1.model.text_projection", "conditioner.embedders.1.transformer.text_projection"},
        {"text_encoder_2.text_projection.weight", "conditioner.embedders.1.transformer.text_projection.weight"},
        {"text_encoder_2.text_model.encoder.layers.0.mlp.fc1.bias", second + "encoder.layers.0.mlp.fc1.bias"},
        {"text_encoders.clip_g.transformer.text_model.final_layer_norm.bias", second + "final_layer_norm.bias"},
        // of stable-diffusion.cpp's converter
        {"cond_stage_model.1.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight",
         second + "encoder.layers.0.self_attn.q_proj.weight"},
        {"cond_stage_model.1.transformer.text_model.text_projection",
         "conditioner.embedders.1.transformer.text_projection"},
        {"cond_stage_model.1.transformer.text_model.text_projection.weight",
         "conditioner.embedders.1.transformer.text_projection.weight"},
        {"cond_stage_model.transformer.text_model.text_projection", "cond_stage_model.transformer.text_projection"},
    };
    for (const auto & [name, wanted] : rows) check_equal(canonical_names({name}).names.at(0), wanted, name);
    const std::string vector = "model.diffusion_model.label_emb.0.0.weight";
    const std::string pooled = "cond_stage_model.transformer.text_model.text_projection";
    const std::string norm = "cond_stage_model.transformer.text_model.final_layer_norm.bias";
    check_equal(canonical_names({norm, vector, pooled}).names.at(0), second + "final_layer_norm.bias",
                "the only text encoder of SDXL's refiner is its second");
    check_equal(canonical_names({norm, pooled}).names.at(0), norm, "that of SD 2 is not");
    check_equal(
        canonical_names({norm, vector, "cond_stage_model.1.transformer.text_model.text_projection"}).names.at(0), norm,
        "nor is the first of SDXL");
    const auto index = static_cast<size_t>(ModelPart::text_encoder);
    check(canonical_names({"cond_stage_model.model.ln_final.bias"}).open_clip[index], "a text encoder of OpenCLIP");
    check(!canonical_names({"te.text_model.final_layer_norm.bias"}).open_clip[index], "a text encoder of OpenAI");
    const std::string bare = "text_model.final_layer_norm.bias";
    check_equal(canonical_names({bare}, ModelPart::text_encoder_2).names.at(0), second + "final_layer_norm.bias",
                "names without a prefix are of the text encoder that is expected");
}

void knows_transformers_and_language_models() {
    const std::string denoiser = unet_prefix, language = language_prefix;
    // A name that identifies the component, another one, and what it becomes.
    const std::tuple<std::string, std::string, std::string> rows[] = {
        {"cap_embedder.0.weight", "x_embedder.weight", denoiser + "x_embedder.weight"},
        {"noise_refiner.0.ffn_norm1.weight", "x_pad_token", denoiser + "x_pad_token"},
        {"cap_embedder.0.weight", "all_x_embedder.2-1.bias", denoiser + "x_embedder.bias"},
        {"cap_embedder.0.weight", "layers.29.attention.to_out.0.weight", denoiser + "layers.29.attention.out.weight"},
        {"cap_embedder.0.weight", "layers.2.attention.norm_k.weight", denoiser + "layers.2.attention.k_norm.weight"},
        {"betas", "model.diffusion_model.layers.2.attention.qkv.weight", denoiser + "layers.2.attention.qkv.weight"},
        {"blk.0.attn_q.weight", "token_embd.weight", language + "embed_tokens.weight"},
        {"blk.0.attn_q.weight", "blk.35.ffn_norm.weight", language + "layers.35.post_attention_layernorm.weight"},
        {"blk.0.attn_q.weight", "output.weight", language + "lm_head.weight"},
        {"model.layers.0.self_attn.q_proj.weight", "model.norm.weight", language + "norm.weight"},
        {"model.layers.0.self_attn.q_proj.weight", "lm_head.weight", language + "lm_head.weight"},
        {"model.language_model.layers.0.self_attn.q_proj.weight", "model.visual.blocks.0.norm1.weight",
         language + "visual.blocks.0.norm1.weight"},
        {"betas", "text_encoders.qwen3_4b.transformer.model.embed_tokens.weight", language + "embed_tokens.weight"},
    };
    for (const auto & [evidence, name, wanted] : rows) {
        check_equal(canonical_names({evidence, name}).names.at(1), wanted, name);
        check_equal(canonical_names({wanted}).names.at(0), wanted, wanted + " again");
    }
}

void leaves_strangers_alone() {
    const std::string strangers[] = {
        "",
        ".",
        "enc.blk.0.attn_q.weight",
        "token_embd.weight",
        "model.layers.0.attention.wq.weight",
        "encoder.layers.1.conv.0.weight",
        "control_model.input_blocks.0.0.weight",
        "lora_unet_mid_block.alpha",
        "conditioner.embedders.2.model.ln_final.bias",
        "cond_stage_model.model.transformer.resblocks.x.ln_1.bias",
        "cond_stage_model.model.transformer.resblocks.0.ln_3.bias",
        "unet.down_blocks.100.resnets.0.norm1.weight",
        "unet.down_blocks.-1.resnets.0.norm1.weight",
        "unet.down_blocks.01.resnets.0.norm1.weight",
        "unet.down_blocks.99999999999999999999.resnets.0.norm1.weight",
        "unet.down_blocks.0.resnets.0.norm3.weight",
        "unet.down_blocks.0.resnets.0",
        "unet.down_blocks.",
        "unet.",
        "unet.up_blocks.0.upsamplers.0.conv.weight",
        "vae.decoder.down_blocks.0.resnets.0.norm1.weight",
        "vae.encoder.mid_block.",
        "vae.decoder.up_blocks.0.upsamplers.1.conv.weight",
        "out.0.weight",
        "conv_in.weight",
    };
    for (const std::string & name : strangers)
        check_equal(canonical_names({name}).names.at(0), name, "'" + name + "' keeps its name");
}

void knows_what_to_ignore() {
    const char * harmless[] = {
        "betas",
        "sqrt_recipm1_alphas_cumprod",
        "posterior_mean_coef2",
        "logvar",
        "model_ema.decay",
        "model_ema.diffusion_modelinput_blocks00weight",
        "first_stage_model.loss.discriminator.main.0.weight",
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "cond_stage_model.logit_scale",
        "cond_stage_model.transformer.text_projection.weight",
        "cond_stage_model.transformer.vision_model.post_layernorm.bias",
        "first_stage_model.loss.discriminator.main.3.num_batches_tracked",
    };
    for (const char * name : harmless) check(ignorable(name), std::string(name) + " is harmless");
    const char * needed[] = {
        "",
        "alphas",
        "blk.0.attn_q.weight",
        "model.diffusion_model.out.2.bias",
        "first_stage_model.quant_conv.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.bias",
        "lora_unet_mid_block.alpha",
        "control_model.out",
    };
    for (const char * name : needed) check(!ignorable(name), std::string(name) + " is not");
}

} // namespace

int main() {
    names_agree_with_diffusers();
    names_of_a_complete_model_agree();
    knows_other_spellings();
    knows_the_text_encoders_of_sd2_and_sdxl();
    knows_transformers_and_language_models();
    leaves_strangers_alone();
    knows_what_to_ignore();
    return finish();
}
