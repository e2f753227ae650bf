// See carried_configuration.h.
#include "source/carried_configuration.h"

#include <array>

namespace diffusion {

namespace {

constexpr const char * scheduler_key = "diffusers.scheduler_config";
constexpr const char * exact_gelu = "gelu";
// https://github.com/Stability-AI/ModelSpec; the second key is ComfyUI's.
constexpr std::array<const char *, 2> prediction_keys = {"modelspec.prediction_type", "modelspec.predict_key"};

// Empty if there is no activation to record.
std::string activation_key(ModelPart component) {
    if (component == ModelPart::text_encoder) return "diffusers.text_encoder.hidden_act";
    return component == ModelPart::text_encoder_2 ? "diffusers.text_encoder_2.hidden_act" : "";
}

// Of the first file that has it.
const std::string * find_metadata(const TensorTable & table, const std::string & key) {
    for (const StoredFile & file : table.files()) {
        const auto entry = file.metadata.find(key);
        if (entry != file.metadata.end()) return &entry->second;
    }
    return nullptr;
}

} // namespace

Metadata carried_configuration(const ModelTensors & model) {
    Metadata metadata;
    if (!model.noise.scheduler.empty()) metadata[scheduler_key] = write_json_values(model.noise.scheduler);
    if (!model.noise.prediction.empty()) metadata[prediction_keys.front()] = model.noise.prediction;
    for (const ModelPart component : {ModelPart::text_encoder, ModelPart::text_encoder_2}) {
        if (model.open_clip.at(static_cast<size_t>(component))) metadata[activation_key(component)] = exact_gelu;
    }
    return metadata;
}

JsonValues carried_scheduler(const TensorTable & table) {
    const std::string * text = find_metadata(table, scheduler_key);
    return text ? read_json_values(*text, table.files().front().path) : JsonValues();
}

bool is_carried_open_clip(const TensorTable & table, ModelPart component) {
    const std::string * activation = find_metadata(table, activation_key(component));
    return activation && *activation == exact_gelu;
}

std::string metadata_prediction(const TensorTable & table) {
    for (const char * key : prediction_keys) {
        if (const std::string * prediction = find_metadata(table, key)) return *prediction;
    }
    return "";
}

} // namespace diffusion
