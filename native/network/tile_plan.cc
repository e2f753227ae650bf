// See tile_plan.h.
#include "network/tile_plan.h"

#include <algorithm>
#include <functional>
#include <iterator>

namespace diffusion {

namespace {

using Images = std::vector<PlannedImage>;
using Kept = std::vector<bool>;

// Every image that is kept, that has statistics, or that is the result is computed once for its own sake.
bool is_computed(const Images & images, const Kept & kept, int image) {
    return kept[image] || images[image].has_statistics;
}

// The last image that is computed from each, itself at least; -1 where it is not computed.
std::vector<int> last_readers(const Images & images, const Kept & kept) {
    std::vector<int> last(images.size(), -1);
    for (int i = 0; i < static_cast<int>(images.size()); i++) {
        if (!is_computed(images, kept, i)) continue;
        last[i] = i;
        for (const int source : tile_sources(images, kept, i).read) last[source] = i;
    }
    return last;
}

struct Costs {
    double work = 0;
    size_t bytes = 0;
    double excess = 0; // bytes above the budget, of all images together
};

// How much larger the area is that is computed of each image for a tile of the last of `computed`: the more
// convolutions are between them, the more pixels around it.
std::vector<double> growth_of(const Images & images, const std::vector<int> & computed, double tile_side) {
    std::vector<double> margins(images.size(), 0);
    for (auto i = computed.rbegin(); i != computed.rend(); ++i) {
        const auto & [input, residual] = std::pair(images[*i].input, images[*i].residual);
        const double times = images[input].side / images[*i].side, pixels = times > 1 ? 1 : times;
        margins[input] = std::max(margins[input], margins[*i] * times + pixels);
        if (residual >= 0) margins[residual] = std::max(margins[residual], margins[*i]);
    }
    std::vector<double> growth;
    for (const int i : computed) {
        const double side = tile_side * images[i].side;
        growth.push_back((side + 2 * margins[i]) * (side + 2 * margins[i]) / (side * side));
    }
    return growth;
}

Costs costs_of(const Images & images, const Kept & kept, const Tiling & tiling, size_t budget) {
    const int64_t step = sample_step(tiling.count);
    const std::vector<int> last = last_readers(images, kept);
    Costs costs;
    for (int i = 1; i < static_cast<int>(images.size()); i++) {
        if (!is_computed(images, kept, i)) continue;
        const bool sampled = !kept[i] && step > 1;
        const std::vector<int> computed = tile_sources(images, kept, i).computed;
        const std::vector<double> growth = growth_of(images, computed, tiling.side / (sampled ? 2.0 : 1.0));
        double tile_bytes = 0;
        for (size_t j = 0; j < computed.size(); j++) {
            const PlannedImage & image = images[computed[j]];
            costs.work += image.work * growth[j] / (sampled ? static_cast<double>(step) : 1);
            tile_bytes = std::max(tile_bytes, image.tile_bytes * growth[j]);
        }
        size_t bytes = static_cast<size_t>(tile_bytes) + images[i].extra_bytes;
        for (int j = 0; j <= i; j++) bytes += kept[j] && last[j] >= i ? images[j].bytes : 0;
        costs.bytes = std::max(costs.bytes, bytes);
        costs.excess += bytes > budget ? static_cast<double>(bytes - budget) : 0;
    }
    return costs;
}

// A stretch of memory from the first time that it is in use to the last.
struct Stretch {
    int from, to;
    size_t bytes;
    size_t * begin;
    bool meets(const Stretch & other) const { return from <= other.to && other.from <= to; }
    size_t end() const { return *begin + bytes; }
};

// The largest first, each where it is free for as long as it is in use.
size_t place(std::vector<Stretch> stretches) {
    constexpr size_t cache_line = 64;
    size_t total = 0;
    std::ranges::stable_sort(stretches, std::greater(), &Stretch::bytes);
    for (auto stretch = stretches.begin(); stretch != stretches.end(); ++stretch) {
        std::vector<Stretch> taken;
        std::copy_if(stretches.begin(), stretch, std::back_inserter(taken),
                     [&](const Stretch & other) { return other.meets(*stretch); });
        std::ranges::sort(taken, {}, [](const Stretch & other) { return *other.begin; });
        size_t at = 0;
        for (const Stretch & other : taken) {
            if (at + stretch->bytes <= *other.begin) break;
            at = std::max(at, (other.end() + cache_line - 1) / cache_line * cache_line);
        }
        *stretch->begin = at;
        total = std::max(total, stretch->end());
    }
    return total;
}

SharedMemory shared_memory(const Images & images, const Kept & kept, bool batch) {
    const std::vector<int> last = last_readers(images, kept);
    SharedMemory memory;
    memory.images.assign(images.size(), 0);
    memory.extra.assign(images.size(), 0);
    std::vector<Stretch> stretches;
    const int n = static_cast<int>(images.size());
    for (int i = 1; i < n; i++) {
        const int from = batch && i == n - 1 ? 0 : i;
        if (kept[i]) stretches.push_back({from, last[i], images[i].bytes, &memory.images[i]});
        if (images[i].extra_bytes > 0) stretches.push_back({i, i, images[i].extra_bytes, &memory.extra[i]});
    }
    memory.bytes = place(std::move(stretches));
    return memory;
}

} // namespace

int64_t sample_step(int64_t tiles) {
    constexpr int64_t enough = 64;
    return std::max<int64_t>(1, tiles / enough);
}

TileSources tile_sources(const std::vector<PlannedImage> & images, const std::vector<bool> & kept, int image) {
    std::vector<bool> needed(images.size(), false);
    needed[image] = true;
    TileSources sources;
    for (int i = image; i >= 0; i--) {
        if (!needed[i]) continue;
        if (kept[i] && i != image) {
            sources.read.push_back(i);
            continue;
        }
        sources.computed.push_back(i);
        for (const int input : {images[i].input, images[i].residual}) {
            if (input >= 0) needed[input] = true;
        }
    }
    std::ranges::reverse(sources.read);
    std::ranges::reverse(sources.computed);
    return sources;
}

namespace {

// Searches for what to keep, by changes to what is kept so far.
class Search {
public:
    Search(const Images & images, const Tiling & tiling, size_t budget)
        : images_(images), tiling_(tiling), budget_(budget), kept_(images.size(), true),
          now_(costs_of(images, kept_, tiling, budget)) {}

    // Gives up, one after the other, the image that saves the most of the excess for the work that it costs.
    void give_up_excess() {
        while (now_.excess > 0) {
            int best = -1;
            double best_rate = 0;
            for (int i = 1; i < end(); i++) {
                if (!kept_[i] || images_[i].must_be_kept) continue;
                kept_[i] = false;
                const Costs then = costs_of(images_, kept_, tiling_, budget_);
                kept_[i] = true;
                const double rate = (now_.excess - then.excess) / std::max(then.work - now_.work, 1.0);
                if (then.excess < now_.excess && rate > best_rate) best = i, best_rate = rate;
            }
            if (best < 0) return;
            kept_[best] = false;
            now_ = costs_of(images_, kept_, tiling_, budget_);
        }
    }

    // Keeps or gives up one image or two, as long as that is better.
    void improve() {
        for (bool better = true; better;) {
            better = false;
            for (int i = 1; i < end(); i++) {
                for (int j = i; j < end(); j++) better = change(i, j) || better;
            }
        }
    }

    const Kept & kept() const { return kept_; }
    const Costs & costs() const { return now_; }

private:
    int end() const { return static_cast<int>(images_.size()) - 1; } // the result is kept

    bool change(int i, int j) {
        if (images_[i].must_be_kept || images_[j].must_be_kept) return false;
        const auto flip = [&] {
            kept_[i] = !kept_[i];
            if (j != i) kept_[j] = !kept_[j];
        };
        flip();
        const Costs then = costs_of(images_, kept_, tiling_, budget_);
        constexpr double much = 1e-6;
        const bool better = then.excess < now_.excess * (1 - much) ||
                            (then.excess <= now_.excess && then.work < now_.work * (1 - much));
        if (better) {
            now_ = then;
        } else {
            flip();
        }
        return better;
    }

    const Images & images_;
    const Tiling tiling_;
    const size_t budget_;
    Kept kept_;
    Costs now_;
};

} // namespace

TilePlan plan_tiles(const std::vector<PlannedImage> & images, const Tiling & tiling, size_t budget) {
    Search search(images, tiling, budget);
    search.give_up_excess();
    search.improve();
    TilePlan plan;
    plan.kept = search.kept();
    plan.work = search.costs().work;
    plan.bytes = search.costs().bytes;
    plan.memory = shared_memory(images, plan.kept, tiling.batch);
    return plan;
}

} // namespace diffusion
