// See peft_config.h.
#include "model/peft_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "io/file_error.h"
#include "io/json.h"
#include "io/mapped_file.h"

namespace diffusion {

namespace {

// What is applied, as PEFT calls it.
constexpr std::array<std::string_view, 3> applied_types = {"LORA", "LOHA", "LOKR"};
// Ways to begin training that change the model's own weights: its adapters belong to what is left of them.
constexpr std::array<std::string_view, 5> changing_beginnings = {"pissa", "olora", "corda", "loftq", "lora_ga"};

// One object. In diffusers' metadata, a component and a point stand before the name of each setting.
class Reader : public JsonEvents {
public:
    Reader(const std::string & path, std::map<std::string, PeftConfig> & configs) : path_(path), configs_(configs) {}

    void begin_object() override { depth_++; }
    void end_object() override { depth_--; }
    void begin_array() override { depth_++; }
    void end_array() override { depth_--; }
    void key(std::string & text) override {
        if (depth_ == 1) {
            const size_t dot = text.find('.');
            component_ = dot == std::string::npos ? "" : text.substr(0, dot);
            setting_ = text.substr(dot + 1);
            pattern_.reset();
        } else if (depth_ == 2 && (setting_ == "alpha_pattern" || setting_ == "rank_pattern")) {
            pattern_ = NamePattern::parse(text);
            if (!pattern_) refuse("the pattern " + quote(text) + " of " + quote(setting_));
        }
    }
    void string(std::string & text) override {
        const auto begins = [&](std::string_view word) { return text.starts_with(word); };
        if (depth_ == 1 && setting_ == "peft_type" && std::ranges::find(applied_types, text) == applied_types.end()) {
            throw unsupported_file(path_,
                                   "is of the kind " + quote(text) +
                                       " of PEFT, which this version does not apply; it applies LORA, LOHA and LOKR");
        }
        if (depth_ == 1 && setting_ == "init_lora_weights" && std::ranges::any_of(changing_beginnings, begins)) {
            refuse("init_lora_weights " + quote(text) + ", by which the model's own weights change,");
        }
        other("a text");
    }
    void unsigned_integer(uint64_t value) override { number(static_cast<double>(value), ""); }
    void number(double value, const char *) override {
        if (!is_number()) return;
        if (!(value > 0) || !std::isfinite(value) || (depth_ == 2 && !pattern_)) {
            refuse(quote(setting_) + " of " + std::to_string(value));
        }
        PeftConfig & config = configs_[component_];
        if (depth_ == 2) {
            (setting_ == "rank_pattern" ? config.ranks : config.alphas).emplace_back(*pattern_, value);
        } else {
            (setting_ == "r" ? config.rank : config.alpha) = value;
        }
    }
    void other(const char * text) override {
        const std::string_view value = text;
        PeftConfig & config = configs_[component_];
        if (depth_ == 1 && setting_ == "use_dora" && value == "true") {
            throw unsupported_file(path_, "is a DoRA, which this version does not apply");
        }
        if (depth_ == 1 && setting_ == "use_rslora") config.rank_stabilized = value == "true";
        if (value != "null" && is_number()) refuse(quote(setting_) + " with " + text);
    }

private:
    bool is_number() const {
        return depth_ == 1   ? setting_ == "lora_alpha" || setting_ == "alpha" || setting_ == "r"
               : depth_ == 2 ? setting_ == "alpha_pattern" || setting_ == "rank_pattern"
                             : false;
    }
    [[noreturn]] void refuse(const std::string & what) const {
        throw unsupported_file(path_, "its configuration has " + what + " which this version does not apply");
    }

    const std::string & path_;
    std::map<std::string, PeftConfig> & configs_;
    int depth_ = 0;
    std::string component_, setting_;
    std::optional<NamePattern> pattern_;
};

double first_match(const std::vector<std::pair<NamePattern, double>> & patterns, std::string_view layer, double other) {
    for (const auto & [pattern, value] : patterns) {
        if (pattern.matches(layer)) return value;
    }
    return other;
}

} // namespace

double PeftConfig::alpha_of(std::string_view layer) const {
    return first_match(alphas, layer, alpha);
}

double PeftConfig::rank_of(std::string_view layer) const {
    return first_match(ranks, layer, rank);
}

PeftConfigs PeftConfigs::parse(std::string_view json, const std::string & path) {
    PeftConfigs configs;
    Reader reader(path, configs.configs_);
    parse_json(json, path, reader);
    return configs;
}

PeftConfigs PeftConfigs::read(const StoredFile & file) {
    const std::string path = peft_config_path(file.path);
    std::error_code ignored;
    if (!path.empty() && std::filesystem::exists(native_path(path), ignored)) {
        constexpr size_t most_bytes = size_t{16} << 20;
        const auto mapped = MappedFile::open(path);
        if (mapped->size() > most_bytes) throw unsupported_file(path, "is larger than any configuration of an adapter");
        PeftConfigs configs = parse({reinterpret_cast<const char *>(mapped->data()), mapped->size()}, path);
        mapped->check_unchanged();
        return configs;
    }
    const auto entry = file.metadata.find("lora_adapter_metadata");
    return entry == file.metadata.end() ? PeftConfigs() : parse(entry->second, file.path);
}

const PeftConfig & PeftConfigs::of(const std::string & layer, std::string_view & local) const {
    static const PeftConfig nothing;
    local = layer;
    const size_t dot = layer.find('.');
    if (const auto found = configs_.find(layer.substr(0, dot)); found != configs_.end() && dot != std::string::npos) {
        local.remove_prefix(dot + 1);
        return found->second;
    }
    const auto found = configs_.find("");
    return found == configs_.end() ? nothing : found->second;
}

std::string peft_config_path(const std::string & adapter) {
    const size_t slash = adapter.find_last_of("/\\");
    const size_t begin = slash == std::string::npos ? 0 : slash + 1;
    if (!std::string_view(adapter).substr(begin).starts_with("adapter_model.")) return "";
    return adapter.substr(0, begin) + "adapter_config.json";
}

} // namespace diffusion
