// Sources: files and diffusers folders become one table, and separate parts replace those of the model.
#include <algorithm>
#include <filesystem>

#include "check.h"
#include "files.h"
#include "source/source.h"
#include "torch_files.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

const std::string unet_tensor = "model.diffusion_model.out.2.bias";
const std::string vae_tensor = "first_stage_model.quant_conv.bias";
const std::string text_tensor = "cond_stage_model.transformer.text_model.final_layer_norm.bias";

const std::string diffusers_unet = safetensors_of({"conv_out.bias"});
const std::string diffusers_vae = safetensors_of({"quant_conv.bias"});
const std::string diffusers_text = safetensors_of({"text_model.final_layer_norm.bias"});

// A source is listed as model, UNet, text encoder and VAE.
ModelTensors open(const Source & source) {
    return open_source(source, {});
}

std::vector<std::string> names(const ModelTensors & model) {
    std::vector<std::string> result;
    for (const StoredTensor & tensor : model.table.tensors()) result.push_back(tensor.name);
    std::sort(result.begin(), result.end());
    return result;
}

// The path of the file that a tensor comes from; empty if there is none.
std::string origin(const ModelTensors & model, const std::string & name) {
    const StoredTensor * tensor = model.table.find(name);
    return tensor ? model.table.files()[static_cast<size_t>(tensor->file)].path : "";
}

std::vector<std::string> sorted(std::vector<std::string> list) {
    std::sort(list.begin(), list.end());
    return list;
}

void opens_one_file(const TemporaryFolder & folder) {
    const std::string path =
        folder.write("model.safetensors", safetensors_of({unet_tensor, vae_tensor, text_tensor, "betas", "v_pred"},
                                                         R"({"modelspec.prediction_type":"v"})"));
    const ModelTensors model = open({path, "", "", ""});
    check(names(model) == sorted({unet_tensor, vae_tensor, text_tensor, "betas"}), "all tensors of one file");
    check_equal(model.layout, "ldm", "layout of one file");
    check_equal(model.noise.prediction, "v", "prediction of the metadata");
    check(model.noise.marks.size() == 1 && model.noise.marks[0].name == "v_pred", "marks are kept apart");
    check_equal(open({"test/reference/all_types.gguf", "", "", ""}).layout, "",
                "a file of unknown tensors has no layout");
}

void write_pipeline(const TemporaryFolder & folder, const std::string & name) {
    folder.write(name + "/unet/diffusion_pytorch_model.safetensors", diffusers_unet);
    folder.write(name + "/vae/diffusion_pytorch_model.safetensors", diffusers_vae);
    folder.write(name + "/text_encoder/model.safetensors", diffusers_text);
    folder.write(name + "/scheduler/scheduler_config.json",
                 R"({"beta_start": 0.1, "prediction_type": "v_prediction"})");
}

void opens_a_diffusers_folder(const TemporaryFolder & folder) {
    write_pipeline(folder, "pipeline");
    const ModelTensors model = open({folder.path("pipeline"), "", "", ""});
    check(names(model) == sorted({unet_tensor, vae_tensor, text_tensor}), "three parts make one model");
    check_equal(model.layout, "diffusers", "layout of a folder");
    check(model.noise.scheduler.at("prediction_type") == JsonValue("v_prediction") &&
              model.noise.scheduler.at("beta_start") == JsonValue(0.1),
          "configuration of the scheduler");
    check(names(open({folder.path("pipeline") + "/", "", "", ""})).size() == 3, "a slash at the end changes nothing");

    namespace fs = std::filesystem;
    const std::string weights = folder.path("pipeline/unet/diffusion_pytorch_model");
    fs::copy(weights + ".safetensors", weights + ".fp16.safetensors");
    check_equal(origin(open({folder.path("pipeline"), "", "", ""}), unet_tensor), weights + ".safetensors",
                "the file without a variant comes first");
    fs::remove(weights + ".safetensors");
    check_equal(origin(open({folder.path("pipeline"), "", "", ""}), unet_tensor), weights + ".fp16.safetensors",
                "the fp16 variant will do");
    fs::rename(weights + ".fp16.safetensors", weights + "-00001-of-00001.safetensors");
    folder.write("pipeline/unet/diffusion_pytorch_model.safetensors.index.json",
                 R"({"weight_map":{"conv_out.bias":"diffusion_pytorch_model-00001-of-00001.safetensors"}})");
    check_equal(origin(open({folder.path("pipeline"), "", "", ""}), unet_tensor),
                weights + "-00001-of-00001.safetensors", "shards are found through their index");
}

// A float16 tensor of two values as torch.save writes it.
std::string pickled(const std::string & name) {
    return torch_zip(dict_value({text_value(name), vector_value("0", 2)}), {{"0", "abcd"}}).file();
}

void opens_pickles(const TemporaryFolder & folder) {
    const std::string model = folder.write(
        "model.ckpt", torch_zip(dict_value({text_value("state_dict"),
                                            dict_value({text_value(unet_tensor), vector_value("0", 2),
                                                        text_value("model_ema.decay"), vector_value("0", 1)})}),
                                {{"0", "abcd"}})
                          .file());
    check(names(open({model, "", "", ""})) == sorted({unet_tensor, "model_ema.decay"}), "a checkpoint of training");
    folder.write("pickles/unet/diffusion_pytorch_model.bin", pickled("conv_out.bias"));
    folder.write("pickles/vae/diffusion_pytorch_model.fp16.bin", pickled("quant_conv.bias"));
    folder.write("pickles/text_encoder/pytorch_model.bin", pickled("text_model.final_layer_norm.bias"));
    check(names(open({folder.path("pickles"), "", "", ""})) == sorted({unet_tensor, vae_tensor, text_tensor}),
          "a folder of pickles");
    folder.write("pickles/unet/diffusion_pytorch_model.safetensors", diffusers_unet);
    check(origin(open({folder.path("pickles"), "", "", ""}), unet_tensor).ends_with(".safetensors"),
          "safetensors come first");
}

void replaces_parts(const TemporaryFolder & folder) {
    const std::string base = folder.path("model.safetensors");
    write_pipeline(folder, "parts");
    const std::string full =
        folder.write("full.safetensors", safetensors_of({unet_tensor, vae_tensor, text_tensor, "betas"}));
    const std::string prefixed_vae =
        folder.write("vae1.safetensors", safetensors_of({vae_tensor, "first_stage_model.loss.x"}));
    const std::string bare_vae =
        folder.write("vae2.safetensors", safetensors_of({"quant_conv.bias", "encoder.down.0.x"}));
    const std::string new_vae = folder.write(
        "vae3.safetensors", safetensors_of({"quant_conv.bias", "decoder.mid_block.attentions.0.to_q.bias"}));
    for (const std::string & vae :
         {full, prefixed_vae, bare_vae, new_vae, folder.path("parts"), folder.path("parts/vae")}) {
        const ModelTensors model = open({base, "", "", vae});
        check(origin(model, vae_tensor).starts_with(vae), "the VAE comes from " + vae);
        check(origin(model, unet_tensor) == base && origin(model, text_tensor) == base,
              "the rest comes from the model");
        check_equal(model.noise.prediction, "v", "the prediction is that of the model");
    }
    const ModelTensors pieces = open({"", folder.path("parts/unet"), folder.path("parts"), full});
    check(names(pieces) == sorted({unet_tensor, vae_tensor, text_tensor}), "a model of separate parts only");
    const ModelTensors other = open({full, folder.path("parts"), "", ""});
    check(other.noise.scheduler.size() == 2, "the scheduler of a separate UNet applies");
    const std::string marked = folder.write("unet.safetensors", safetensors_of({unet_tensor, "ztsnr"}));
    const ModelTensors replaced = open({base, marked, "", ""});
    check(replaced.noise.marks.size() == 1 && replaced.noise.prediction.empty(), "and the marks in its file");
    check_equal(open({base, folder.path("parts/unet"), "", ""}).noise.prediction, "v",
                "a separate UNet without such settings has the model's");
    const std::string marked_vae = folder.write("vae4.safetensors", safetensors_of({vae_tensor, "ztsnr"}));
    check(open({base, "", "", marked_vae}).noise.marks.size() == 1, "marks next to another part are ignored");

    folder.write("parts/vae/diffusion_pytorch_model.safetensors", "broken");
    check(names(open({folder.path("parts"), "", "", full})).size() == 3, "a part that is replaced is not opened");
}

void keeps_strangers_visible(const TemporaryFolder & folder) {
    const std::string base = folder.path("model.safetensors");
    const std::string mixed =
        folder.write("mixed.safetensors", safetensors_of({vae_tensor, "lora_unet_mid_block.alpha"}));
    check(open({base, "", "", mixed}).table.find("lora_unet_mid_block.alpha") != nullptr,
          "a tensor without a known place is not dropped");
}

void refuses_hostile_sources(const TemporaryFolder & folder) {
    const std::string base = folder.path("model.safetensors");
    const std::string lora = folder.write("lora.safetensors", safetensors_of({"lora_unet_mid_block.alpha"}));
    const std::string both = folder.write("both.safetensors", safetensors_of({"unet.conv_out.bias", unet_tensor}));
    const std::string nothing = folder.write("nothing.safetensors", safetensors("{}", 0));
    folder.write("empty/readme.txt", "nothing here");
    folder.write("half/unet/config.json", "{}");
    write_pipeline(folder, "odd");
    folder.write("odd/scheduler/scheduler_config.json", "{\"prediction_type\":");

    struct Row {
        const char * name;
        Source source;
        ErrorCode code;
        const char * words;
    };
    const Row rows[] = {
        {"no path", {"", "", "", ""}, ErrorCode::invalid_argument, "No path"},
        {"missing model", {folder.path("absent"), "", "", ""}, ErrorCode::file, "no such file"},
        {"missing part", {base, "", "", folder.path("absent")}, ErrorCode::file, "no such file"},
        {"NUL in the path", {std::string("a\0b", 3), "", "", ""}, ErrorCode::file, "NUL"},
        {"folder of something else",
         {folder.path("empty"), "", "", ""},
         ErrorCode::file,
         "unet/ or transformer/, text_encoder/, vae/"},
        {"folder without weights",
         {folder.path("half"), "", "", ""},
         ErrorCode::model_incomplete,
         "looked for diffusion_pytorch_model.safetensors"},
        {"part from a folder without it",
         {base, "", "", folder.path("empty")},
         ErrorCode::model_incomplete,
         "has no weights"},
        {"broken scheduler", {folder.path("odd"), "", "", ""}, ErrorCode::model_corrupt, "malformed"},
        {"LoRA as VAE",
         {base, "", "", lora},
         ErrorCode::model_unsupported,
         "holds no tensor of a VAE; its first tensor is 'lora_unet_mid_block.alpha'"},
        {"UNet as text encoder",
         {base, "", folder.path("parts/unet/diffusion_pytorch_model.safetensors"), ""},
         ErrorCode::model_unsupported,
         "holds no tensor of a text encoder"},
        {"part without tensors", {base, "", "", nothing}, ErrorCode::model_unsupported, "no tensors at all"},
        {"two spellings of one tensor", {both, "", "", ""}, ErrorCode::model_corrupt, "twice"},
        {"model_index.json itself",
         {folder.write("model_index.json", "{\"_class_name\":\"x\"}"), "", "", ""},
         ErrorCode::model_unsupported,
         "the folder of a diffusers model"},
    };
    for (const Row & row : rows) check_throws(row.name, row.code, row.words, [&] { open(row.source); });
    Cancellation cancelled;
    cancelled.cancel();
    check_throws("cancelled", ErrorCode::cancelled, "", [&] { open_source({base, "", "", ""}, cancelled); });
}

// A fused projection is split into its three parts.
void opens_open_clip(const TemporaryFolder & folder) {
    const std::string name = "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_";
    const std::string file =
        safetensors(R"({")" + name + R"(weight":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},")" + name +
                        R"(bias":{"dtype":"F32","shape":[4],"data_offsets":[24,40]}})",
                    40);
    const ModelTensors model = open({folder.write("open_clip.safetensors", file), "", "", ""});
    const std::string attention = std::string(text_2_prefix) + "encoder.layers.0.self_attn.";
    check(names(model) == sorted({attention + "q_proj.weight", attention + "k_proj.weight", attention + "v_proj.weight",
                                  attention + "in_proj_bias"}),
          "queries, keys and values; anything else is not split");
    const StoredTensor *q = model.table.find(attention + "q_proj.weight"),
                       *v = model.table.find(attention + "v_proj.weight");
    check(q && v && v->data == q->data + 16 && v->n_bytes == 8 && v->ne[0] == 2 && v->ne[1] == 1, "in their order");
    check(model.open_clip[static_cast<size_t>(ModelPart::text_encoder_2)], "it is OpenCLIP's");

    folder.write("xl/text_encoder_2/model.safetensors", diffusers_text);
    folder.write("xl/text_encoder_2/config.json", R"({"hidden_act": "gelu"})");
    folder.write("xl/unet/diffusion_pytorch_model.safetensors", diffusers_unet);
    const ModelTensors xl = open({folder.path("xl"), "", "", ""});
    const std::string second = std::string(text_2_prefix) + "final_layer_norm.bias";
    check(names(xl) == sorted({unet_tensor, second}), "the second text encoder of a diffusers folder");
    check(xl.open_clip[static_cast<size_t>(ModelPart::text_encoder_2)], "its configuration is OpenCLIP's");
    check(!xl.open_clip[static_cast<size_t>(ModelPart::text_encoder)], "but the first is not");
    Source own{folder.path("pipeline"), "", "", "", folder.write("clip_g.safetensors", diffusers_text)};
    check(names(open(own)).size() == 4, "a separate second text encoder in addition to a model's parts");
}

} // namespace

int main() {
    const TemporaryFolder folder;
    opens_one_file(folder);
    opens_a_diffusers_folder(folder);
    opens_pickles(folder);
    opens_open_clip(folder);
    replaces_parts(folder);
    keeps_strangers_visible(folder);
    refuses_hostile_sources(folder);
    return finish();
}
