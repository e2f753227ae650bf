// See contents.h.
#include "convert/contents.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "source/noise_sources.h"

namespace diffusion {

namespace {

// Metadata that describes one particular GGUF file.
bool is_of_its_file(std::string_view key) {
    constexpr std::string_view keys[] = {"general.alignment", "general.architecture", "general.file_type",
                                         "general.quantization_version"};
    return std::ranges::find(keys, key) != std::end(keys) || key.starts_with("comfy.gguf.");
}

// The depth estimator in a depth-to-image checkpoint, which is opened separately from the model.
constexpr std::string_view depth_prefix = "depth_model.";

// OpenCLIP's projection distinguishes text encoders even if it is not used.
bool is_of_use(std::string_view canonical) {
    return is_noise_mark(canonical) || canonical.starts_with(depth_prefix) ||
           canonical.ends_with(open_clip_projection) || !ignorable(canonical);
}

std::vector<std::string> names_of(const TensorTable & table) {
    std::vector<std::string> names;
    names.reserve(table.tensors().size());
    for (const StoredTensor & tensor : table.tensors()) names.push_back(tensor.name);
    return names;
}

FileKind kind_of(const TensorTable & table, const CanonicalNames & names) {
    TensorTable canonical;
    for (StoredFile file : table.files()) canonical.add_file(std::move(file));
    for (size_t i = 0; i < table.tensors().size(); i++) {
        StoredTensor tensor = table.tensors()[i];
        tensor.name = names.names[i];
        // A tensor under two spellings is reported when the file is opened.
        if (!canonical.find(tensor.name)) canonical.add(std::move(tensor));
    }
    return file_kind(canonical);
}

} // namespace

Contents::Contents(const Source & source, const Cancellation & cancellation) {
    if (is_file_alone(source)) {
        take_file(open_tensors(source.model, cancellation));
        collect_metadata();
    } else {
        ModelTensors model = open_source(source, cancellation);
        table_ = model.table;
        collect_metadata();
        // If the metadata of parts conflict, those apply that a model of these parts uses.
        for (const auto & [key, value] : carried_configuration(model)) metadata_[key] = value;
        take_parts(std::move(model));
    }
}

void Contents::take_file(NamedTensors file) {
    table_ = std::move(file.table);
    kind_ = kind_of(table_, file.names);
    for (size_t i = 0; i < table_.tensors().size(); i++) {
        const StoredTensor & stored = table_.tensors()[i];
        add(stored, stored.name, file.names.names[i], file.names.components[i]);
    }
}

void Contents::take_parts(ModelTensors model) {
    kind_ = file_kind(table_);
    const CanonicalNames names = canonical_names(names_of(table_));
    for (size_t i = 0; i < table_.tensors().size(); i++) {
        const StoredTensor & stored = table_.tensors()[i];
        add(stored, converted_name(stored.name), stored.name, names.components[i]);
    }
    marks_ = std::move(model.noise.marks);
    for (const StoredTensor & mark : marks_) add(mark, mark.name, mark.name, ModelPart::none);
}

void Contents::add(const StoredTensor & stored, std::string name, std::string canonical, ModelPart component) {
    if (!is_of_use(canonical)) return;
    tensors_.push_back({std::move(name), std::move(canonical), component, &stored});
}

void Contents::collect_metadata() {
    for (const StoredFile & file : table_.files()) {
        for (const auto & entry : file.metadata) {
            if (!is_of_its_file(entry.first)) metadata_.insert(entry);
        }
    }
}

} // namespace diffusion
