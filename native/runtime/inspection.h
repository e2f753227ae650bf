// What the headers of a model's files tell about it.
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
    std::string family; // empty if unknown
    std::string layout;
    std::optional<Noise> noise; // if there is a UNet with a known kind of noise
    std::vector<PartInfo> parts;
    std::vector<std::string> absent; // kinds of parts that are missing from a complete model
    std::vector<std::string> missing;
    std::vector<std::string> mismatched;
    std::vector<std::string> unused;
    std::map<std::string, std::string> metadata;
};

// Reads only headers. Throws Error if a file is not a readable tensor file; problems with the model are reported in the
// result.
Inspection inspect(const Source & source, const Cancellation & cancellation);

} // namespace diffusion
