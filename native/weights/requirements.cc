// See requirements.h.
#include "weights/requirements.h"

#include <algorithm>

#include "io/file_error.h"
#include "names/names.h"

namespace diffusion {

std::string some_of(const std::vector<std::string> & names) {
    std::string text;
    for (size_t i = 0; i < std::min<size_t>(names.size(), 5); i++) text += (i ? ", " : "") + names[i];
    if (names.size() > 5) text += " and " + std::to_string(names.size() - 5) + " more";
    return text;
}

std::string where(const TensorTable & table) {
    const auto & files = table.files();
    std::string text = files.empty() ? "" : files.front().path;
    return files.size() > 1 ? text + " and " + std::to_string(files.size() - 1) + " more" : text;
}

std::string contents(const TensorTable & table) {
    std::string found = "it holds no tensors";
    if (!table.tensors().empty()) {
        found = "it holds " + std::to_string(table.tensors().size()) + " tensors such as " +
                quote(table.tensors().front().name);
    }
    if (!table.files().empty()) {
        const auto & metadata = table.files().front().metadata;
        const auto architecture = metadata.find("general.architecture");
        if (architecture != metadata.end()) found += ", of the architecture " + quote(architecture->second);
    }
    return found;
}

std::vector<std::string> unused_tensors(const WeightBinder & weights) {
    std::vector<std::string> names;
    for (const StoredTensor & tensor : weights.table().tensors()) {
        if (!weights.uses(tensor.name) && !ignorable(tensor.name)) names.push_back(tensor.name);
    }
    return names;
}

void require_sound(const WeightBinder & weights) {
    const std::string place = where(weights.table());
    if (!weights.missing().empty()) {
        throw Error(ErrorCode::model_incomplete, place + ": " + std::to_string(weights.missing().size()) +
                                                     " tensors are missing: " + some_of(weights.missing()) +
                                                     ". The file is truncated or for another kind of model.");
    }
    if (!weights.mismatched().empty()) {
        throw Error(ErrorCode::model_mismatch, place + ": " + std::to_string(weights.mismatched().size()) +
                                                   " tensors do not fit: " + some_of(weights.mismatched()) + ".");
    }
    const std::vector<std::string> unused = unused_tensors(weights);
    if (!unused.empty()) {
        std::vector<std::string> names; // some_of() shows five
        for (size_t i = 0; i < unused.size(); i++) names.push_back(i < 5 ? quote(unused[i]) : "");
        throw Error(ErrorCode::model_unsupported,
                    place + ": " + std::to_string(unused.size()) + " tensors would go unused: " + some_of(names) +
                        ". Images would differ from those the model was made for, so the file is refused.");
    }
}

} // namespace diffusion
