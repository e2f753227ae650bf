// See lora_metadata.h.
#include "model/lora_metadata.h"

#include "io/file_error.h"
#include "io/json.h"

namespace diffusion {

namespace {

// One object whose keys are a component, a point and the name of a setting.
class Reader : public JsonEvents {
public:
    Reader(const std::string & path, std::map<std::string, PeftConfig> & configs) : path_(path), configs_(configs) {}

    void begin_object() override { depth_++; }
    void end_object() override { depth_--; }
    void begin_array() override { depth_++; }
    void end_array() override { depth_--; }
    void key(std::string & text) override {
        if (depth_ > 1 && setting_ == "alpha_pattern") refuse();
        if (depth_ != 1) return;
        const size_t dot = text.find('.');
        component_ = text.substr(0, dot);
        setting_ = dot == std::string::npos ? "" : text.substr(dot + 1);
    }
    void string(std::string &) override { other("a text"); }
    void unsigned_integer(uint64_t value) override {
        if (depth_ == 1 && setting_ == "lora_alpha") configs_[component_].alpha = static_cast<double>(value);
    }
    void other(const char * text) override {
        if (depth_ != 1) return;
        if (setting_ == "lora_alpha") refuse();
        if (setting_ == "use_rslora") configs_[component_].rank_stabilized = std::string_view(text) == "true";
    }

private:
    [[noreturn]] void refuse() const {
        throw unsupported_file(path_, "its metadata has a value that this version does not apply: " +
                                          quote(component_ + "." + setting_));
    }

    const std::string & path_;
    std::map<std::string, PeftConfig> & configs_;
    int depth_ = 0;
    std::string component_, setting_;
};

} // namespace

std::map<std::string, PeftConfig> read_peft_metadata(const StoredFile & file) {
    std::map<std::string, PeftConfig> configs;
    const auto entry = file.metadata.find("lora_adapter_metadata");
    if (entry == file.metadata.end()) return configs;
    Reader reader(file.path, configs);
    parse_json(entry->second, file.path, reader);
    return configs;
}

} // namespace diffusion
