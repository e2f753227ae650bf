// See peft_config.h.
#include "lora/peft_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "io/file_error.h"
#include "io/json.h"
#include "io/mapped_file.h"

namespace diffusion {

namespace {

// The supported types, in PEFT's names.
constexpr std::array<std::string_view, 3> applied_types = {"LORA", "LOHA", "LOKR"};
// Initializations that also change the model's own weights: such adapters only fit those changed weights.
constexpr std::array<std::string_view, 5> weight_changing_inits = {"pissa", "olora", "corda", "loftq", "lora_ga"};

// The allowed types of a value.
enum class Kind { object, number, flag, text, any };

// The settings that are read, with their names in errors.
Kind kind_of(std::string_view setting) {
    if (setting == "r" || setting == "lora_alpha" || setting == "alpha") return Kind::number;
    if (setting == "alpha_pattern" || setting == "rank_pattern") return Kind::object;
    if (setting == "use_dora" || setting == "use_rslora") return Kind::flag;
    return setting == "peft_type" ? Kind::text : Kind::any;
}

std::string_view named(Kind kind) {
    switch (kind) {
        case Kind::object: return "an object";
        case Kind::number: return "a number above 0";
        case Kind::flag: return "true or false";
        case Kind::text: return "a string";
        case Kind::any: return "anything";
    }
    return {};
}

// One object. In diffusers' metadata, a component and a dot precede the name of each setting.
class Reader : public JsonEvents {
public:
    Reader(const std::string & path, std::map<std::string, PeftConfig> & configs) : path_(path), configs_(configs) {}

    void begin_object() override {
        require(Kind::object, "an object");
        depth_++;
    }
    void end_object() override { depth_--; }
    void begin_array() override {
        require(Kind::any, "an array");
        depth_++;
    }
    void end_array() override { depth_--; }
    void key(std::string & text) override {
        if (depth_ == 1) {
            const size_t dot = text.find('.');
            component_ = dot == std::string::npos ? "" : text.substr(0, dot);
            setting_ = text.substr(dot + 1);
        } else if (in_pattern()) {
            pattern_ = NamePattern::parse(text);
            if (!pattern_) refuse("the pattern " + quote(text) + " in " + quote(setting_));
        }
    }
    void string(std::string & text) override {
        require(Kind::text, "a string");
        const auto begins = [&](std::string_view word) { return text.starts_with(word); };
        if (depth_ == 1 && setting_ == "peft_type" && std::ranges::find(applied_types, text) == applied_types.end()) {
            throw unsupported_file(path_, "has the PEFT type " + quote(text) + ". LORA, LOHA and LOKR are supported");
        }
        if (depth_ == 1 && setting_ == "init_lora_weights" && std::ranges::any_of(weight_changing_inits, begins)) {
            refuse("init_lora_weights " + quote(text) + ", which changes the model's own weights");
        }
    }
    void unsigned_integer(uint64_t value) override { number(static_cast<double>(value), ""); }
    void number(double value, const char *) override {
        const bool fits = value > 0 && std::isfinite(value);
        require(fits ? Kind::number : Kind::any, std::to_string(value));
        if (expected() != Kind::number) return;
        PeftConfig & config = configs_[component_];
        if (depth_ == 2) {
            (setting_ == "rank_pattern" ? config.ranks : config.alphas).emplace_back(*pattern_, value);
        } else {
            (setting_ == "r" ? config.rank : config.alpha) = value;
        }
    }
    void boolean(bool value) override {
        require(Kind::flag, value ? "true" : "false");
        if (depth_ == 1 && setting_ == "use_dora" && value) {
            throw unsupported_file(path_, "is a DoRA, which is not supported");
        }
        if (depth_ == 1 && setting_ == "use_rslora") configs_[component_].rank_stabilized = value;
    }
    // null, which leaves a setting at its default.
    void other(const char * text) override {
        if (depth_ != 1) require(Kind::any, text);
    }

private:
    bool in_pattern() const { return depth_ == 2 && kind_of(setting_) == Kind::object; }
    Kind expected() const {
        if (depth_ == 0) return Kind::object;
        if (in_pattern()) return Kind::number;
        return depth_ == 1 ? kind_of(setting_) : Kind::any;
    }
    void require(Kind kind, std::string_view came) const {
        if (expected() == Kind::any || kind == expected()) return;
        const std::string what = depth_ == 0 ? "a PEFT configuration" : quote(setting_) + " in a PEFT configuration";
        throw unsupported_file(path_, "expected " + std::string(named(expected())) + " for " + what + ", found " +
                                          std::string(came));
    }
    [[noreturn]] void refuse(const std::string & what) const {
        throw unsupported_file(path_, "its configuration is not supported: it has " + what);
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

bool PeftConfigs::has_alpha() const {
    return std::ranges::any_of(configs_,
                               [](const auto & one) { return one.second.alpha > 0 || !one.second.alphas.empty(); });
}

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
        if (mapped->size() > most_bytes) throw unsupported_file(path, "is larger than any adapter configuration");
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
