// Opens the parts of a model, single files and diffusers folders alike, and joins them under canonical names.
#include "source/source.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>

#include "io/file_error.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/read_numbers.h"
#include "names/names.h"
#include "names/tiny_autoencoder_names.h"
#include "names/unwrap.h"
#include "names/z_image_names.h"
#include "source/carried_configuration.h"
#include "source/file_kind.h"

namespace diffusion {

namespace {

namespace fs = std::filesystem;

// Naming and binding are linear in this for every level and block; the largest known checkpoints have a few thousand.
constexpr size_t most_tensors = 100'000;

// A component in a diffusers folder: its subfolder, and the file name stems of its weights as safetensors and as
// PyTorch pickle.
struct FolderPlace {
    ModelPart component;
    const char * folder;
    const char * stem;
    const char * pickle_stem;
};

constexpr std::array<FolderPlace, 8> folder_places = {{
    {ModelPart::unet, "unet", "diffusion_pytorch_model", "diffusion_pytorch_model"},
    {ModelPart::unet, "transformer", "diffusion_pytorch_model", "diffusion_pytorch_model"},
    {ModelPart::text_encoder, "text_encoder", "model", "pytorch_model"},
    {ModelPart::language_model, "text_encoder", "model", "pytorch_model"},
    {ModelPart::text_encoder_2, "text_encoder_2", "model", "pytorch_model"},
    {ModelPart::vae, "vae", "diffusion_pytorch_model", "diffusion_pytorch_model"},
    {ModelPart::control_net, "controlnet", "diffusion_pytorch_model", "diffusion_pytorch_model"},
    {ModelPart::tiny_autoencoder, "taesd", "diffusion_pytorch_model", "diffusion_pytorch_model"},
}};

// One file of the model, and its assumed content.
struct Part {
    TensorTable table;
    CanonicalNames names;
    ModelPart only = ModelPart::none; // the one component to use from it; `none` for all
};

std::string utf8(const fs::path & path) {
    const std::u8string text = path.u8string();
    return {text.begin(), text.end()};
}

bool is_directory(const std::string & path) {
    std::error_code ignored; // opening it reports why a path cannot be examined
    return fs::is_directory(native_path(path), ignored);
}

bool is_there(const fs::path & path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

CanonicalNames name_tensors(const TensorTable & table, ModelPart expected, ModelPart only) {
    std::vector<std::string> names;
    names.reserve(table.tensors().size());
    for (const StoredTensor & tensor : table.tensors()) names.push_back(tensor.name);
    const std::optional<CanonicalNames> tiny = tiny_autoencoder_names(names, only == ModelPart::none ? expected : only);
    return tiny ? *tiny : canonical_names(names, expected);
}

Part open_part(const std::string & path, ModelPart expected, ModelPart only, const Cancellation & cancellation) {
    Part part;
    part.table = TensorTable::open(path, cancellation);
    if (part.table.tensors().size() > most_tensors) {
        throw unsupported_file(path, "has " + std::to_string(part.table.tensors().size()) +
                                         " tensors, more than any model (100000)");
    }
    part.table = unwrap(part.table, [&](const TensorTable & table) {
        const FileKind kind = file_kind(table);
        const bool other = is_known_by_names(kind) && kind != FileKind::model;
        return other || !name_tensors(table, expected, only).layout.empty();
    });
    part.names = name_tensors(part.table, expected, only);
    part.only = only;
    return part;
}

// The weights of a component in its folder, safetensors and the file without a variant first; empty if there are none.
fs::path find_weights(const fs::path & folder, const FolderPlace & place) {
    const std::string stem = place.stem, pickle_stem = place.pickle_stem;
    for (const std::string & name :
         {stem + ".safetensors", stem + ".safetensors.index.json", stem + ".fp16.safetensors",
          stem + ".safetensors.index.fp16.json", stem + ".fp16.safetensors.index.json", pickle_stem + ".bin",
          pickle_stem + ".bin.index.json", pickle_stem + ".fp16.bin", pickle_stem + ".bin.index.fp16.json",
          pickle_stem + ".fp16.bin.index.json"}) {
        fs::path candidate = folder / name;
        if (is_there(candidate)) return candidate;
    }
    return {};
}

std::string looked_for(const FolderPlace & place) {
    return std::string(place.stem) + ".safetensors, " + place.pickle_stem +
           ".bin, their .fp16 variants and the .index.json of each";
}

// Empty if the file does not exist.
JsonValues read_config(const fs::path & config) {
    if (!is_there(config)) return {};
    const std::string path = utf8(config);
    const auto file = MappedFile::open(path);
    JsonValues values = read_json_values({reinterpret_cast<const char *>(file->data()), file->size()}, path);
    file->check_unchanged();
    return values;
}

JsonValues read_scheduler(const fs::path & folder) {
    return read_config(folder / "scheduler" / "scheduler_config.json");
}

// Splits a tensor with queries, keys and values into transformers' or diffusers' three; the tensor itself if it contains
// something else.
std::vector<StoredTensor> split_projection(const StoredTensor & tensor) {
    constexpr std::string_view clip = ".self_attn.in_proj_";
    const bool is_clip = tensor.name.find(clip) != std::string::npos;
    const std::string_view joint = is_clip ? clip : z_image_joint;
    const size_t at = tensor.name.find(joint);
    if (at == std::string::npos) return {tensor};
    std::vector<StoredTensor> parts(3);
    for (size_t i = 0; i < 3; i++) {
        if (!take_rows(tensor, static_cast<int64_t>(i), 3, parts[i])) return {tensor};
        const std::string letter(1, "qkv"[i]);
        const std::string own = is_clip ? ".self_attn." + letter + "_proj." : ".attention.to_" + letter + ".";
        parts[i].name = tensor.name.substr(0, at) + own + tensor.name.substr(at + joint.size());
    }
    return parts;
}

class Opener {
public:
    Opener(const Source & source, const Cancellation & cancellation)
        : cancellation_(cancellation), own_{{ModelPart::unet, source.unet},
                                            {ModelPart::text_encoder, source.text_encoder},
                                            {ModelPart::text_encoder_2, source.text_encoder_2},
                                            {ModelPart::language_model, source.language_model},
                                            {ModelPart::vae, source.vae},
                                            {ModelPart::tiny_autoencoder, source.tiny_autoencoder},
                                            {ModelPart::control_net, source.control_net}},
          model_(source.model) {
        std::erase_if(own_, [](const auto & entry) { return entry.second.empty(); });
    }

    ModelTensors open() {
        if (model_.empty() && own_.empty()) throw Error(ErrorCode::invalid_argument, "No path of a model was given.");
        if (!model_.empty()) open_model();
        for (const auto & [component, path] : own_) open_own(component, path);
        for (const Part & part : parts_) add(part);
        // If a separate UNet's files do not describe its noise, it is assumed to match the model's.
        result_.noise = std::move(own_noise_.empty() ? noise_ : own_noise_);
        result_.layout = parts_.front().names.layout;
        return std::move(result_);
    }

private:
    void open_model() {
        if (!is_directory(model_)) {
            parts_.push_back(open_part(model_, ModelPart::none, ModelPart::none, cancellation_));
            return;
        }
        const fs::path folder = native_path(model_);
        bool found = false;
        for (const FolderPlace & place : folder_places) {
            // A pipeline's folder may also have one of these, which is not part of the model. A language model is in
            // the folder of the text encoder.
            const bool separate = place.component == ModelPart::control_net ||
                                  place.component == ModelPart::tiny_autoencoder ||
                                  place.component == ModelPart::language_model;
            if (separate || !is_there(folder / place.folder)) continue;
            found = true;
            const bool replaced = own_.count(place.component) > 0 ||
                                  (place.component == ModelPart::text_encoder && own_.count(ModelPart::language_model));
            if (!replaced) open_folder_place(folder / place.folder, place, ModelPart::none);
        }
        if (!found) {
            throw unreadable_file(
                model_,
                "is a folder without the parts of a diffusers model (unet/ or transformer/, text_encoder/, vae/); "
                "pass such a folder, or a .safetensors, .gguf or .ckpt file");
        }
        noise_.scheduler = read_scheduler(folder);
    }

    void open_folder_place(const fs::path & folder, const FolderPlace & place, ModelPart only) {
        const fs::path weights = find_weights(folder, place);
        if (weights.empty()) throw incomplete_file(utf8(folder), "has no weights; looked for " + looked_for(place));
        parts_.push_back(open_part(utf8(weights), place.component, only, cancellation_));
        // OpenCLIP's text encoders are the ones with the exact GELU.
        const JsonValues config = read_config(folder / "config.json");
        const auto activation = config.find("hidden_act");
        if (activation != config.end() && activation->second == JsonValue("gelu"))
            parts_.back().names.open_clip.at(static_cast<size_t>(place.component)) = true;
    }

    // A separate part: a file of that component, a file of several, the folder of the component or of a full model.
    void open_own(ModelPart component, const std::string & path) {
        if (!is_directory(path)) {
            // Names alone do not distinguish the second text encoder from the first.
            const bool second = component == ModelPart::text_encoder_2;
            parts_.push_back(open_part(path, second ? component : ModelPart::none, component, cancellation_));
        } else {
            const fs::path folder = native_path(path);
            const auto is_of = [&](const FolderPlace & p) { return p.component == component; };
            const auto is_in = [&](const FolderPlace & p) { return is_of(p) && is_there(folder / p.folder); };
            auto found = std::ranges::find_if(folder_places, is_in);
            if (found == folder_places.end()) found = std::ranges::find_if(folder_places, is_of);
            const FolderPlace & place = *found;
            const bool full_model = is_there(folder / place.folder);
            open_folder_place(full_model ? folder / place.folder : folder, place, component);
            if (full_model && component == ModelPart::unet) own_noise_.scheduler = read_scheduler(folder);
        }
        check_holds(component, path);
    }

    void check_holds(ModelPart component, const std::string & path) const {
        const auto & components = parts_.back().names.components;
        if (std::find(components.begin(), components.end(), component) == components.end()) {
            const TensorTable & table = parts_.back().table;
            throw unsupported_file(path, std::string("holds no tensor of a ") + part_name(component) +
                                             (table.tensors().empty()
                                                  ? "; it has no tensors at all"
                                                  : "; its first tensor is " + quote(table.tensors().front().name)));
        }
    }

    bool wanted(const Part & part, size_t i) const {
        const ModelPart component = part.names.components[i];
        if (part.only == ModelPart::none) return !own_.count(component);
        // Other tensors in a separate part's file are dropped if they are known, and otherwise reported as unused.
        return component == part.only || (component == ModelPart::none && !ignorable(part.names.names[i]));
    }

    void add(const Part & part) {
        const int first = static_cast<int>(result_.table.files().size());
        for (StoredFile file : part.table.files()) {
            file.n_tensors = 0; // add() counts those that are used
            result_.table.add_file(std::move(file));
        }
        NoiseSources * noise = part.only == ModelPart::unet   ? &own_noise_
                               : part.only == ModelPart::none ? &noise_
                                                              : nullptr;
        if (noise && noise->prediction.empty()) noise->prediction = metadata_prediction(part.table);
        if (noise && noise->scheduler.empty()) noise->scheduler = carried_scheduler(part.table);
        result_.table.reserve(part.names.names.size());
        for (size_t i = 0; i < part.names.names.size(); i++) {
            StoredTensor tensor = part.table.tensors()[i];
            tensor.name = part.names.names[i];
            tensor.file += first;
            if (is_noise_mark(tensor.name)) {
                if (noise) noise->marks.push_back(std::move(tensor));
                continue;
            }
            if (!wanted(part, i)) continue;
            for (StoredTensor & one : split_projection(tensor)) {
                result_.table.add(std::move(one));
                result_.origins.push_back({part.table.tensors()[i].name, part.names.components[i]});
            }
        }
        for (size_t i = 0; i < part_count; i++) {
            const bool taken = part.only == ModelPart::none ? !own_.count(static_cast<ModelPart>(i))
                                                            : part.only == static_cast<ModelPart>(i);
            const bool open_clip =
                part.names.open_clip[i] || is_carried_open_clip(part.table, static_cast<ModelPart>(i));
            if (taken && open_clip) result_.open_clip[i] = true;
        }
    }

    const Cancellation & cancellation_;
    std::map<ModelPart, std::string> own_; // separate parts
    std::string model_;
    std::vector<Part> parts_;
    NoiseSources noise_, own_noise_; // of the model, and of a separate UNet
    ModelTensors result_;
};

} // namespace

ModelTensors open_source(const Source & source, const Cancellation & cancellation) {
    return Opener(source, cancellation).open();
}

NamedTensors open_tensors(const std::string & path, const Cancellation & cancellation) {
    Part part = open_part(path, ModelPart::none, ModelPart::none, cancellation);
    return {std::move(part.table), std::move(part.names)};
}

bool is_file_alone(const Source & source) {
    const std::string parts = source.unet + source.text_encoder + source.text_encoder_2 + source.language_model +
                              source.vae + source.tiny_autoencoder + source.control_net;
    return parts.empty() && !is_directory(source.model);
}

std::string depth_estimator_file(const std::string & path) {
    const FolderPlace place = {ModelPart::none, "depth_estimator", "model", "pytorch_model"};
    const fs::path folder = native_path(path);
    for (const fs::path & candidate : {folder / place.folder, folder}) {
        const fs::path weights = is_directory(path) ? find_weights(candidate, place) : fs::path();
        if (!weights.empty()) return utf8(weights);
    }
    return path;
}

} // namespace diffusion
