// See upscaler_names.h.
#include "names/upscaler_names.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>

#include "names/name_parts.h"

namespace diffusion {

namespace {

// `RDB1.conv2.weight`, or with the layer's index in a sequence `RDB1.conv2.0.weight`, as `rdb1.conv2.weight`.
std::optional<std::string> dense_block_name(std::string_view local) {
    if (!take(local, "RDB")) return std::nullopt;
    std::string name(local);
    const size_t sequence = name.find(".0.");
    if (sequence != std::string::npos) name.erase(sequence, 2);
    return "rdb" + name;
}

// Names of ESRGAN's first release.
std::optional<std::string> release_name(std::string_view local) {
    constexpr std::array<std::array<std::string_view, 2>, 3> beginnings = {
        {{"trunk_conv.", "conv_body."}, {"upconv", "conv_up"}, {"HRconv.", "conv_hr."}}};
    for (const auto & [from, to] : beginnings) {
        if (take(local, from)) return std::string(to) + std::string(local);
    }
    if (!take(local, "RRDB_trunk.")) return std::nullopt;
    const std::optional<int> block = take_index(local);
    const std::optional<std::string> inner = block ? dense_block_name(local) : std::nullopt;
    if (!inner) return std::nullopt;
    return "body." + std::to_string(*block) + "." + *inner;
}

// Names of models trained with earlier code: `model.` and the layer's index in one sequence.
class SequenceNames {
public:
    void note(std::string_view name) {
        if (!take(name, "model.")) return;
        const std::optional<int> place = take_index(name);
        if (place && *place > 1) places_.insert(*place);
    }

    std::optional<std::string> convert(std::string_view name) const {
        if (!take(name, "model.")) return std::nullopt;
        const std::optional<int> place = take_index(name);
        if (!place) return std::nullopt;
        const std::string rest(name);
        if (*place == 0) return "conv_first." + rest;
        if (*place > 1) return after_body(*place) + rest;
        if (!take(name, "sub.")) return std::nullopt;
        const std::optional<int> block = take_index(name);
        if (!block) return std::nullopt;
        if (name == "weight" || name == "bias") return "conv_body." + std::string(name);
        const std::optional<std::string> inner = dense_block_name(name);
        if (!inner) return std::nullopt;
        return "body." + std::to_string(*block) + "." + *inner;
    }

private:
    // The last two layers follow those that enlarge.
    std::string after_body(int place) const {
        const auto index = std::distance(places_.begin(), places_.find(place));
        const auto left = static_cast<std::ptrdiff_t>(places_.size()) - index;
        return left == 1 ? "conv_last." : left == 2 ? "conv_hr." : "conv_up" + std::to_string(index + 1) + ".";
    }

    std::set<int> places_;
};

} // namespace

TensorTable canonical_upscaler(const TensorTable & table) {
    const auto & tensors = table.tensors();
    SequenceNames sequence;
    for (const StoredTensor & tensor : tensors) sequence.note(tensor.name);

    TensorTable result;
    for (const StoredFile & file : table.files()) result.add_file(file);
    result.reserve(tensors.size());
    for (const StoredTensor & tensor : tensors) {
        StoredTensor renamed = tensor;
        std::optional<std::string> canonical = sequence.convert(tensor.name);
        if (!canonical) canonical = release_name(tensor.name);
        if (canonical) renamed.name = std::move(*canonical);
        result.add(std::move(renamed));
    }
    return result;
}

} // namespace diffusion
