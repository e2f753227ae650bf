// See unwrap.h.
#include "names/unwrap.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace diffusion {

namespace {

// Nobody nests deeper, or keeps more copies.
constexpr int most_words = 4;
constexpr size_t most_copies = 4;

// What wrapper modules insert between names.
constexpr std::array<std::string_view, 4> wrappers = {"module.", "_orig_mod.", "_fsdp_wrapped_module.",
                                                      "_checkpoint_wrapped_module."};

std::string without_wrappers(const std::string & name) {
    std::string result;
    for (size_t at = 0; at < name.size();) {
        const std::string_view rest = std::string_view(name).substr(at);
        const size_t length = std::min(rest.find('.'), rest.size() - 1) + 1;
        const std::string_view segment = rest.substr(0, length);
        if (std::ranges::find(wrappers, segment) == wrappers.end()) result += segment;
        at += length;
    }
    return result;
}

using Tensors = std::vector<StoredTensor>;

TensorTable table_of(const TensorTable & original, const Tensors & tensors) {
    TensorTable table;
    for (StoredFile file : original.files()) {
        file.n_tensors = 0; // add() counts
        table.add_file(std::move(file));
    }
    table.reserve(tensors.size());
    for (const StoredTensor & tensor : tensors) table.add(tensor);
    return table;
}

bool is_averaged(std::string_view word) {
    return word == "ema" || word.starts_with("ema_") || word.ends_with("_ema");
}

// Tensors by the first word of their names, which is removed; averaged copies first, then the largest.
std::vector<std::pair<std::string, Tensors>> by_first_word(const Tensors & tensors) {
    std::map<std::string, Tensors> groups;
    for (const StoredTensor & tensor : tensors) {
        const size_t point = tensor.name.find('.');
        if (point == std::string::npos || point + 1 == tensor.name.size()) continue;
        Tensors & group = groups[tensor.name.substr(0, point)];
        group.push_back(tensor);
        group.back().name.erase(0, point + 1);
    }
    std::vector<std::pair<std::string, Tensors>> sorted(groups.begin(), groups.end());
    std::ranges::stable_sort(sorted, [](const auto & a, const auto & b) {
        const bool averaged = is_averaged(a.first);
        return averaged != is_averaged(b.first) ? averaged : a.second.size() > b.second.size();
    });
    return sorted;
}

class Unwrapper {
public:
    Unwrapper(const TensorTable & original, const Recognition & recognises)
        : original_(original), recognises_(recognises) {}

    // Nothing if no network is found.
    std::optional<Tensors> unwrap(const Tensors & tensors, int words) const {
        if (recognises_(table_of(original_, tensors))) return tensors;
        if (words == 0) return std::nullopt;
        const auto groups = by_first_word(tensors);
        for (size_t i = 0; i < std::min(groups.size(), most_copies); i++) {
            std::optional<Tensors> network = unwrap(groups[i].second, words - 1);
            if (network) return with_rest(std::move(*network), tensors, groups, i);
        }
        return std::nullopt;
    }

private:
    // Everything next to the network except copies of it.
    static Tensors with_rest(Tensors network, const Tensors & tensors,
                             const std::vector<std::pair<std::string, Tensors>> & groups, size_t taken) {
        const auto & own = groups[taken].second;
        const auto is_copy = [&](const Tensors & group) {
            return std::ranges::any_of(own, [&](const StoredTensor & t) { return t.name == group.front().name; });
        };
        std::vector<std::string> dropped;
        for (size_t i = 0; i < groups.size(); i++) {
            if (i == taken || is_copy(groups[i].second)) dropped.push_back(groups[i].first + ".");
        }
        for (const StoredTensor & tensor : tensors) {
            const auto begins = [&](const std::string & word) { return tensor.name.starts_with(word); };
            if (std::ranges::none_of(dropped, begins)) network.push_back(tensor);
        }
        return network;
    }

    const TensorTable & original_;
    const Recognition & recognises_;
};

} // namespace

TensorTable unwrap(const TensorTable & table, const Recognition & recognises) {
    Tensors tensors = table.tensors();
    for (StoredTensor & tensor : tensors) tensor.name = without_wrappers(tensor.name);
    const auto found = Unwrapper(table, recognises).unwrap(tensors, most_words);
    return found ? table_of(table, *found) : table;
}

} // namespace diffusion
