// What the headers of a model's files say.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "family/model.h"

namespace diffusion {

struct Inspection {
    std::vector<StoredFile> files;
    std::string kind;   // see file_kind_name()
    std::string family; // empty where unknown
    std::string layout;
    std::optional<Noise> noise; // where there is a UNet whose noise is known
    std::vector<PartInfo> parts;
    std::vector<std::string> absent; // kinds of the parts that a whole model has besides
    std::vector<std::string> missing;
    std::vector<std::string> mismatched;
    std::vector<std::string> unused;
    std::map<std::string, std::string> metadata;
};

// Reads headers only. Throws Error when a file cannot be read as a tensor file at all; what is wrong with the model in it
// is reported in the result.
Inspection inspect(const Source & source, const Cancellation & cancellation);

} // namespace diffusion
