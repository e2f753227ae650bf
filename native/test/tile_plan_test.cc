// What is kept of the images of a network fits the memory that is given, and the less there is, the more is computed
// again.
#include "check.h"
#include "network/tile_plan.h"

using namespace diffusion;
using namespace diffusion::test;

namespace {

constexpr size_t image_bytes = 100, tile_bytes = 5;

// Residual blocks one after the other.
std::vector<PlannedImage> blocks(int n) {
    std::vector<PlannedImage> images(1);
    images[0].side = 1;
    images[0].bytes = image_bytes;
    for (int i = 0; i < n; i++) {
        for (const int residual : {-1, 2 * i}) {
            PlannedImage image;
            image.input = static_cast<int>(images.size()) - 1;
            image.residual = residual;
            image.side = 1;
            image.work = 1;
            image.bytes = image_bytes;
            image.tile_bytes = tile_bytes;
            image.has_statistics = true;
            images.push_back(image);
        }
    }
    images.back().has_statistics = false;
    return images;
}

void test_budgets() {
    const auto images = blocks(6);
    double least_work = 0;
    for (const size_t budget : {10 * image_bytes, 4 * image_bytes, 3 * image_bytes, 2 * image_bytes + 2 * tile_bytes}) {
        const TilePlan plan = plan_tiles(images, {64, 16}, budget);
        const std::string name = "a budget of " + std::to_string(budget);
        check(plan.bytes <= budget, name + " is kept");
        check(plan.work >= least_work, name + " takes more work than a larger one");
        least_work = plan.work;
    }
    check(plan_tiles(images, {64, 16}, 10 * image_bytes).work == 12, "with much memory nothing is computed twice");
    check(least_work > 12, "with little memory some of it is");
}

void test_sources() {
    const auto images = blocks(2);
    const TileSources all = tile_sources(images, {true, true, true, true, true}, 4);
    check(all.computed == std::vector<int>{4} && all.read == std::vector<int>{2, 3}, "what is kept is read");
    const TileSources few = tile_sources(images, {true, false, false, false, true}, 4);
    check(few.computed == std::vector<int>{1, 2, 3, 4} && few.read == std::vector<int>{0}, "all else is computed");
}

void test_shared_memory() {
    auto images = blocks(4);
    for (size_t i = 0; i < images.size(); i++) images[i].bytes = 100 + 37 * (i % 3);
    images[4].extra_bytes = 300;
    const TilePlan plan = plan_tiles(images, {64, 16}, SIZE_MAX);
    const auto end = [&](size_t i) { return plan.memory.images[i] + images[i].bytes; };
    for (size_t i = 2; i < images.size(); i++) {
        const bool apart = plan.memory.images[i] >= end(i - 1) || plan.memory.images[i - 1] >= end(i);
        check(apart, "an image and the one that it is computed from lie apart");
        check(end(i) <= plan.memory.bytes, "an image lies within the memory");
    }
    check(plan.memory.extra[4] >= end(4) || end(4) <= plan.memory.extra[4] ||
              plan.memory.extra[4] + 300 <= plan.memory.images[4],
          "an image and what is needed beside it lie apart");
    check(plan.memory.bytes < 9 * 137 + 300, "memory is used again");
}

} // namespace

int main() {
    test_budgets();
    test_sources();
    test_shared_memory();
    return finish();
}
