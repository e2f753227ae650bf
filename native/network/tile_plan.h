// Which images of a network are kept in memory while it is evaluated tile by tile, and where, so that it takes little
// memory and little time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace diffusion {

// An image of a network: how it is computed from others, and what that takes.
struct PlannedImage {
    int input = -1;              // the image that it is a convolution of,
    int residual = -1;           // and one that is added; both before it
    double side = 0;             // in multiples of that of the smallest image
    double work = 0;             // to compute it
    size_t bytes = 0;            // to keep it
    size_t tile_bytes = 0;       // to compute one of its tiles
    size_t extra_bytes = 0;      // beside that, while it is computed
    bool has_statistics = false; // which are needed before another image is computed from it
    bool must_be_kept = false;
};

// Memory that is shared by what is never there at the same time.
struct SharedMemory {
    std::vector<size_t> images, extra; // where each begins; only of those in use
    size_t bytes = 0;
};

struct TilePlan {
    std::vector<bool> kept; // by image; the others are computed again where a tile needs them
    double work = 0;
    size_t bytes = 0; // at most, of all that is kept and one tile
    SharedMemory memory;
};

struct Tiling {
    int64_t side = 0; // of a tile, in pixels of the smallest image
    int64_t count = 0;
    bool batch = false; // of several results
};

// Statistics of an image that is not kept are those of every so many of its tiles, of half the side; of all, if there
// are few.
int64_t sample_step(int64_t tiles);

// Images are computed in their order, each in its tiles. The first one is given, and has memory of its own. The last
// one is the result; if it is of a `batch`, it is kept from the start. Of the plans that fit `budget` bytes, the result
// is one that takes little work; if none is found, one that takes little memory.
TilePlan plan_tiles(const std::vector<PlannedImage> & images, const Tiling & tiling, size_t budget);

// The kept images from which one of `image`'s tiles is computed, and those computed again for it, itself included.
struct TileSources {
    std::vector<int> read, computed; // in their order
};
TileSources tile_sources(const std::vector<PlannedImage> & images, const std::vector<bool> & kept, int image);

} // namespace diffusion
