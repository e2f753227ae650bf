// What PEFT says of the strength of its adapters outside of their tensors: in adapter_config.json beside them, or in the metadata that
// diffusers writes.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/tensor_table.h"
#include "names/name_pattern.h"

namespace diffusion {

// Of one component. 0 where it says nothing.
struct PeftConfig {
    double alpha = 0, rank = 0;
    bool rank_stabilized = false; // divided by the root of the rank (Kalajdzievski 2023)
    // Of layers whose names end so, the first that fits.
    std::vector<std::pair<NamePattern, double>> alphas, ranks;

    double alpha_of(std::string_view layer) const;
    double rank_of(std::string_view layer) const;
};

class PeftConfigs {
public:
    // Of a LoRA file: what adapter_config.json says where the file is one of PEFT's folder, otherwise its metadata. Throws Error: file;
    // model_corrupt; model_unsupported for kinds of adapters that this version does not apply, which it names.
    static PeftConfigs read(const StoredFile & file);
    static PeftConfigs parse(std::string_view json, const std::string & path);

    // Whether there is an alpha of any layer.
    bool say_strength() const;
    // Of a layer as the file spells it; one that says nothing where there is none. `local` becomes the layer's name in its component.
    const PeftConfig & of(const std::string & layer, std::string_view & local) const;

private:
    std::map<std::string, PeftConfig> configs_; // by component: "unet", "text_encoder", ..., or "" for a file of one
};

// Where the configuration of an adapter would be, beside a file of that name; empty for other names.
std::string peft_config_path(const std::string & adapter);

} // namespace diffusion
