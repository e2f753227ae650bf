// See lora_sets.h.
#include "runtime/lora_sets.h"

#include <algorithm>

#include "backend/log.h"
#include "lora/peft_config.h"
#include "weights/placed_weights.h"

namespace diffusion {

namespace {

LoraSet::Key key_of(const std::vector<LoraFile> & files) {
    LoraSet::Key key;
    for (const auto & [path, weight, text_weight] : files) {
        key.emplace_back(path, weight, text_weight, stamp_of(path));
        const std::string config = peft_config_path(path);
        if (!config.empty()) key.emplace_back(config, 0, 0, stamp_of(config));
    }
    return key;
}

} // namespace

LoraSets::Opened LoraSets::open(const std::vector<LoraFile> & files, bool all, const Cancellation & cancellation) {
    LoraSet::Key key = key_of(files);
    std::shared_ptr<const LoraSet> set;
    for (const auto & known : read_) {
        const auto one = known.lock();
        if (one && one->key == key) set = one;
    }
    if (!set) set = read(std::move(key), files, cancellation);
    for (const LoraReport & report : set->loras.reports) {
        if (!report.unsure.empty()) log_warning(report.unsure);
        if (report.left.empty()) continue;
        if (all) throw Error(ErrorCode::model_mismatch, report.left + ". All of them must be applied.");
        log_warning(report.left);
    }
    Opened opened{make_handle(), set->loras.reports};
    std::erase_if(read_, [&](const auto & known) { return known.expired() || known.lock() == set; });
    read_.push_back(set);
    open_.push_back({opened.handle, std::move(set)});
    return opened;
}

std::shared_ptr<const LoraSet> LoraSets::read(LoraSet::Key key, const std::vector<LoraFile> & files,
                                              const Cancellation & cancellation) const {
    auto set = std::make_shared<LoraSet>();
    set->key = std::move(key);
    set->loras = read_loras(files, weights_, host_, cancellation);
    return set;
}

std::shared_ptr<const LoraSet> LoraSets::find(const Handle & handle) const {
    if (!handle) return nullptr;
    const auto found = std::ranges::find_if(open_, [&](const Entry & entry) { return entry.handle.lock() == handle; });
    if (found == open_.end())
        throw Error(ErrorCode::invalid_argument, "loras: expected LoRAs that are open on this model.");
    return found->set;
}

void LoraSets::collect() {
    std::erase_if(open_, [](const Entry & entry) { return entry.handle.expired(); });
}

} // namespace diffusion
