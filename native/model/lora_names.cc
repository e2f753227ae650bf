// See lora_names.h.
#include "model/lora_names.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <vector>

#include "model/diffusers_names.h"
#include "model/name_parts.h"
#include "model/source.h"

namespace diffusion {

namespace {

struct Ending {
    std::string_view text;
    LoraPart part;
};

constexpr std::array<Ending, 33> endings = {{
    {".alpha", LoraPart::alpha},
    {".lora_up.weight", LoraPart::up},
    {".lora_down.weight", LoraPart::down},
    {".lora_mid.weight", LoraPart::mid},
    // PEFT, with and without the name of the adapter; then the generations of diffusers before it.
    {".lora_B.weight", LoraPart::up},
    {".lora_A.weight", LoraPart::down},
    {".lora_B.default.weight", LoraPart::up},
    {".lora_A.default.weight", LoraPart::down},
    {".lora_B.default_0.weight", LoraPart::up},
    {".lora_A.default_0.weight", LoraPart::down},
    {".lora.up.weight", LoraPart::up},
    {".lora.down.weight", LoraPart::down},
    {".lora_linear_layer.up.weight", LoraPart::up},
    {".lora_linear_layer.down.weight", LoraPart::down},
    {"_lora.up.weight", LoraPart::up},
    {"_lora.down.weight", LoraPart::down},
    {".hada_w1_a", LoraPart::hada_w1_a},
    {".hada_w1_b", LoraPart::hada_w1_b},
    {".hada_w2_a", LoraPart::hada_w2_a},
    {".hada_w2_b", LoraPart::hada_w2_b},
    {".hada_t1", LoraPart::hada_t1},
    {".hada_t2", LoraPart::hada_t2},
    {".lokr_w1", LoraPart::lokr_w1},
    {".lokr_w1_a", LoraPart::lokr_w1_a},
    {".lokr_w1_b", LoraPart::lokr_w1_b},
    {".lokr_w2", LoraPart::lokr_w2},
    {".lokr_w2_a", LoraPart::lokr_w2_a},
    {".lokr_w2_b", LoraPart::lokr_w2_b},
    {".lokr_t2", LoraPart::lokr_t2},
    {".dora_scale", LoraPart::magnitude},
    {".lora_magnitude_vector", LoraPart::magnitude},
    {".lora_magnitude_vector.weight", LoraPart::magnitude},
    {".lora_magnitude_vector.default.weight", LoraPart::magnitude},
}};

// A text encoder: the prefix of its canonical names, what kohya-ss puts before its layers, and what diffusers does.
struct TextNames {
    std::string_view canonical, kohya, diffusers;
};

constexpr std::array<TextNames, 3> text_names = {{
    {text_prefix, "lora_te_", "text_encoder."},
    {text_prefix, "lora_te1_", "text_encoder."},
    {text_2_prefix, "lora_te2_", "text_encoder_2."},
}};

// Tables of vectors, which are looked up and not multiplied by.
constexpr std::string_view embeddings = ".embeddings.";

std::string flat(std::string name) {
    std::replace(name.begin(), name.end(), '.', '_');
    return name;
}

// Blocks of one half of a UNet in the original numbering.
struct Blocks {
    std::map<int, std::set<std::string>> layers; // of each block: "0.in_layers.2"

    void note(std::string_view name, std::string_view half) {
        if (!take(name, half)) return;
        const size_t dot = name.find('.');
        if (dot == 0 || dot > 2) return;
        const std::string number(name.substr(0, dot));
        if (number.find_first_not_of("0123456789") == std::string::npos) {
            layers[std::stoi(number)].emplace(name.substr(dot + 1));
        }
    }
    static bool attends(const std::set<std::string> & block) {
        return std::any_of(block.begin(), block.end(), [](const auto & l) { return l.starts_with("1.transformer_"); });
    }
};

constexpr std::array<std::string_view, 4> resnet_layers = {"conv1", "conv2", "time_emb_proj", "conv_shortcut"};
constexpr std::array<std::string_view, 7> other_layers = {
    "conv_in",
    "conv_out",
    "time_embedding.linear_1",
    "time_embedding.linear_2",
    "time_embedding.cond_proj",
    "add_embedding.linear_1",
    "add_embedding.linear_2",
};

// diffusers' names of the layers of a UNet, each with the original one. The table of names leads from diffusers to the original;
// so this tells it how the blocks lie, makes every name that diffusers could give, and keeps those that lead somewhere.
class DiffusersLayers {
public:
    explicit DiffusersLayers(const std::set<std::string> & originals) : originals_(originals) {
        Blocks inputs, outputs;
        for (const std::string & name : originals) {
            inputs.note(name, "input_blocks.");
            outputs.note(name, "output_blocks.");
            std::string_view middle = name;
            if (take(middle, "middle_block.1.")) attention_layers_.emplace(middle);
        }
        inputs.layers.erase(0);
        note_half(inputs, "down_blocks.", "downsamplers", {"0.op"});
        note_half(outputs, "up_blocks.", "upsamplers", {"1.conv", "2.conv"});
        for (const auto layer : other_layers) add(std::string(layer));
        for (const int i : {0, 1}) add_block("mid_block.", i);
        for (const auto & [level, index] : blocks_) add_block(level, index);
        for (const std::string & name : resamplers_) add(name);
    }

    const std::vector<std::pair<std::string, std::string>> & names() const { return names_; }

private:
    void note_half(const Blocks & half, const std::string & side, const std::string & resampler,
                   const std::set<std::string> & resampling) {
        int level = 0, resnets = 0;
        for (const auto & block : half.layers) {
            const std::set<std::string> & layers = block.second;
            const std::string name = side + std::to_string(level) + ".", i = std::to_string(resnets) + ".";
            const bool resamples = std::any_of(resampling.begin(), resampling.end(),
                                               [&](const std::string & layer) { return layers.count(layer) > 0; });
            if (layers.count("0.in_layers.2")) {
                table_.note(name + "resnets." + i + "x");
                blocks_.emplace_back(name, resnets++);
            }
            if (Blocks::attends(layers)) {
                table_.note(name + "attentions." + i + "x");
                for (const std::string & layer : layers) {
                    if (layer.starts_with("1.")) attention_layers_.insert(layer.substr(2));
                }
            }
            if (!resamples) continue;
            table_.note(name + resampler + ".0.x");
            resamplers_.push_back(name + resampler + ".0.conv");
            level++;
            resnets = 0;
        }
    }

    void add_block(const std::string & level, int index) {
        const std::string i = std::to_string(index) + ".";
        for (const auto layer : resnet_layers) add(level + "resnets." + i + std::string(layer));
        for (const auto & layer : attention_layers_) add(level + "attentions." + i + layer);
    }

    void add(const std::string & name) {
        const auto original = table_.convert(name + ".");
        if (!original || original->empty()) return;
        const std::string layer = original->substr(0, original->size() - 1);
        if (originals_.count(layer)) names_.emplace_back(name, layer);
    }

    const std::set<std::string> & originals_;
    DiffusersUnet table_;
    std::set<std::string> attention_layers_;
    std::vector<std::pair<std::string, int>> blocks_; // prefix of the level, residual block
    std::vector<std::string> resamplers_;
    std::vector<std::pair<std::string, std::string>> names_;
};

} // namespace

std::optional<LoraKey> split_lora_key(std::string_view name) {
    take(name, "base_model.model."); // of PEFT's own files
    for (const auto & [text, part] : endings) {
        if (name.size() <= text.size() || !name.ends_with(text)) continue;
        std::string layer(name.substr(0, name.size() - text.size()));
        // diffusers once had processors of attention between a layer and its products.
        constexpr std::string_view processor = ".processor.";
        if (const size_t at = layer.find(processor); at != std::string::npos) layer.erase(at + 1, processor.size() - 1);
        if (text.starts_with("_") && layer.ends_with(".to_out")) layer += ".0";
        return LoraKey{std::move(layer), part};
    }
    return std::nullopt;
}

LoraTargets::LoraTargets(const WeightBinder & weights) {
    constexpr std::string_view ending = ".weight";
    std::unordered_map<std::string, const WeightBinder::Binding *> unet;
    for (const auto & binding : weights.bindings()) {
        std::string_view name = binding.stored->name;
        if (!name.ends_with(ending) || name.find(embeddings) != std::string_view::npos) continue;
        if (ggml_n_dims(binding.tensor) < 2) continue;
        name.remove_suffix(ending.size());
        targets_.emplace(name, &binding);
        std::string_view local = name;
        if (take(local, unet_prefix)) unet.emplace(local, &binding);
        for (const auto & [canonical, kohya, diffusers] : text_names) {
            local = name;
            if (!take(local, canonical)) continue;
            const std::string own(local), whole = "text_model." + own;
            targets_.emplace(std::string(kohya) + flat(whole), &binding);
            for (const auto & spelling : {whole, own}) targets_.emplace(std::string(diffusers) + spelling, &binding);
        }
    }
    add_unet(unet);
}

void LoraTargets::add_unet(const std::unordered_map<std::string, const WeightBinder::Binding *> & layers) {
    std::set<std::string> originals;
    for (const auto & [name, binding] : layers) originals.insert(name);
    const auto add = [&](const std::string & name, const std::string & original) {
        const auto binding = layers.at(original);
        for (const char * prefix : {"lora_unet_", "lycoris_"}) targets_.emplace(prefix + flat(name), binding);
        for (const char * prefix : {"unet.", "diffusion_model.", ""}) targets_.emplace(prefix + name, binding);
    };
    for (const std::string & name : originals) add(name, name);
    const DiffusersLayers diffusers(originals);
    for (const auto & [name, original] : diffusers.names()) add(name, original);
}

const WeightBinder::Binding * LoraTargets::find(const std::string & layer) const {
    const auto found = targets_.find(layer);
    return found == targets_.end() ? nullptr : found->second;
}

} // namespace diffusion
