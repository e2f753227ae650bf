// Evaluates a network of convolutions tile by tile, to the same result as in one piece: each image between two layers
// is computed in tiles and kept, or computed again where it is needed; group norms use the statistics of whole images.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "graph/layers.h"

namespace diffusion {

// Attention of one head over all pixels of an image, which is added to it.
struct ImageAttention {
    Norm norm;
    Linear q, k, v, out;
};

// A layer between two images. Image 0 is given, layer i makes image i + 1.
struct TiledLayer {
    int input = 0;                             // the image that it reads
    std::optional<Norm> norm{};                // group norm and SiLU before the convolution
    Conv2d conv{};                             // of 3x3 pixels
    Geometry::Kind geometry = Geometry::same;  // not `strided`; `resized` doubles the sides
    int residual = -1;                         // an image that is added, if not -1,
    std::optional<Linear> skip{};              // after this layer
    std::optional<Linear> last{};              // a 1x1 convolution of the result
    std::optional<ImageAttention> attention{}; // instead of all but `input`
};

struct TileOptions {
    int64_t side = 0;  // of a tile, in pixels of the smallest image; a multiple of 8
    size_t memory = 0; // bytes to get along with, if possible
    Tileable tileable{};
};

// The result's planes [width, height, channels, batch]. `image(i)` is image 0 of item i of the batch, whose sides are
// divisible as often as the layers halve them.
Tensor evaluate_in_tiles(Layers & layers, const std::vector<TiledLayer> & chain, float eps, int64_t channels,
                         int64_t batch, const std::function<Tensor(int64_t index)> & image,
                         const TileOptions & options);

} // namespace diffusion
