// What PEFT says about the strength of its adapters outside their tensors: in adapter_config.json next to them, or in
// the metadata that diffusers writes.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/tensor_table.h"
#include "names/name_pattern.h"

namespace diffusion {

// Of one component. 0 if not given.
struct PeftConfig {
    double alpha = 0, rank = 0;
    bool rank_stabilized = false; // divided by the square root of the rank (Kalajdzievski 2023)
    // For layers whose names end like this; the first match counts.
    std::vector<std::pair<NamePattern, double>> alphas, ranks;

    double alpha_of(std::string_view layer) const;
    double rank_of(std::string_view layer) const;
};

class PeftConfigs {
public:
    // For a LoRA file: from adapter_config.json if the file is in a PEFT folder, otherwise from its metadata. Throws
    // Error: file; model_corrupt; model_unsupported for unsupported adapter types, which it names.
    static PeftConfigs read(const StoredFile & file);
    static PeftConfigs parse(std::string_view json, const std::string & path);

    // Whether any layer has an alpha.
    bool has_alpha() const;
    // For a layer as the file names it; default values if there are none. `local` becomes the layer's name in its
    // component.
    const PeftConfig & of(const std::string & layer, std::string_view & local) const;

private:
    std::map<std::string, PeftConfig> configs_; // by component: "unet", "text_encoder", ..., or "" if there is only one
};

// Where the configuration of an adapter file of that name would be; empty for other names.
std::string peft_config_path(const std::string & adapter);

} // namespace diffusion
