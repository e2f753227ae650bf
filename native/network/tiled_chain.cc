// See tiled_chain.h.
#include "network/tiled_chain.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "network/areas.h"
#include "network/tile_plan.h"

namespace diffusion {

namespace {

// What a convolution reads for the pixels `out` along one side, in pixels of its input, or of that resized.
Range read_range(const Geometry & geometry, int64_t kernel, const Range & out) {
    const int64_t begin = geometry.stride() * out.begin - geometry.padding(kernel).before;
    return {begin, begin + geometry.stride() * (out.length() - 1) + kernel};
}

// Compact images are written in blocks of 8x8 pixels.
constexpr int64_t store_multiple = 8;

class TiledEvaluation {
public:
    // `image` is one of those that will be given.
    TiledEvaluation(Layers & layers, const std::vector<TiledLayer> & chain, float eps, const StoredImage & image,
                    int64_t batch, const TileOptions & options);

    void evaluate(Tensor given, int64_t index);
    Tensor result() const { return result_.memory; }

private:
    using Tiles = std::map<int, std::pair<Area, Tensor>>; // by image

    const TiledLayer & layer_of(int image) const { return chain_[image - 1]; }
    Side width_of(int image) const { return {images_[image].width, options_.tileable.x}; }
    Side height_of(int image) const { return {images_[image].height, options_.tileable.y}; }
    int64_t scale_of(int image) const { return images_[image].width / smallest_; }

    void add_image(const TiledLayer & layer);
    void enlarge_tiles();
    void choose_kept();
    std::vector<PlannedImage> described() const;
    std::vector<Tile> tiles_of(int image, int64_t side) const;
    int64_t side_of(int image) const;
    std::vector<Tile> sample_of(int image) const;
    std::vector<Tile> strips_of(int image, int64_t pixels) const;

    Area area_read(int image, const Area & out) const;
    Area area_to_compute(int image, Area area) const;
    Tensor compute(int image, const Area & area);
    Tensor convolve(int image, const Area & out, const Tiles & tiles);
    Tensor part_of(int image, const Area & area, const Tiles & tiles);
    void finish(int image, const Tile & tile, Tensor pixels);
    StoredKeys keys_of(int image) const;
    void attend(int image);

    Layers & layers_;
    const std::vector<TiledLayer> & chain_;
    const float eps_;
    TileOptions options_;
    int64_t smallest_ = 0;   // width of the smallest image
    int64_t tile_count_ = 0; // of the smallest tiles
    std::vector<StoredImage> images_;
    std::vector<bool> has_statistics_;
    std::vector<Tensor> statistics_;
    std::vector<double> done_; // share of an image that the statistics are of
    std::vector<PlannedImage> described_;
    TilePlan plan_;
    Tensor memory_ = nullptr; // of what is kept
    StoredPlanes result_;
};

TiledEvaluation::TiledEvaluation(Layers & layers, const std::vector<TiledLayer> & chain, float eps,
                                 const StoredImage & image, int64_t batch, const TileOptions & options)
    : layers_(layers), chain_(chain), eps_(eps), options_(options) {
    images_.push_back(image);
    for (const TiledLayer & layer : chain) add_image(layer);
    smallest_ = std::ranges::min(images_, {}, &StoredImage::width).width;
    has_statistics_.assign(images_.size(), false);
    for (const TiledLayer & layer : chain) {
        if (layer.norm || layer.attention) has_statistics_[layer.input] = true;
    }
    const StoredImage & last = images_.back();
    result_ = {last.width, last.height, last.channels, batch};
    enlarge_tiles();
    choose_kept();
    memory_ = layers_.memory(plan_.memory.bytes, image.memory);
    layers_.place(result_, memory_, plan_.memory.images.back());
}

void TiledEvaluation::add_image(const TiledLayer & layer) {
    StoredImage image = images_[layer.input];
    image.memory = nullptr;
    image.compact = false;
    if (layer.geometry == Geometry::resized) image.width *= 2, image.height *= 2;
    if (layer.geometry == Geometry::strided_asymmetric) image.width /= 2, image.height /= 2;
    if (!layer.attention) image.channels = layer.conv.weight->ne[3];
    if (layer.last) image.channels = layer.last->weight->ne[1];
    images_.push_back(image);
}

// So that a graph can hold the operations of all tiles.
void TiledEvaluation::enlarge_tiles() {
    constexpr size_t most_tiles = 256;
    while (tiles_of(0, options_.side).size() > most_tiles) options_.side += store_multiple;
    tile_count_ = static_cast<int64_t>(tiles_of(0, options_.side).size());
}

// Large images are kept compactly.
void TiledEvaluation::choose_kept() {
    // The result is copied on its way to the caller.
    const size_t result = layers_.bytes_of(images_.back()) * result_.batch;
    const size_t memory = options_.memory > result ? options_.memory - result : 0;
    constexpr size_t share_of_large = 16;
    for (StoredImage & image : std::ranges::subrange(images_.begin() + 1, images_.end() - 1)) {
        image.compact = image.channels % group_count == 0 && layers_.bytes_of(image) > memory / share_of_large;
    }
    described_ = described();
    plan_ = plan_tiles(described_, {options_.side, tile_count_, result_.batch > 1}, memory);
}

std::vector<PlannedImage> TiledEvaluation::described() const {
    std::vector<PlannedImage> all(images_.size());
    for (int i = 0; i < static_cast<int>(images_.size()); i++) {
        const StoredImage & image = images_[i];
        all[i].bytes = layers_.bytes_of(image) * (i + 1 == static_cast<int>(images_.size()) ? result_.batch : 1);
        all[i].side = static_cast<double>(scale_of(i));
        all[i].has_statistics = has_statistics_[i];
        all[i].must_be_kept = i == 0;
        if (i == 0) continue;
        const TiledLayer & layer = layer_of(i);
        all[i].input = layer.input;
        all[i].residual = layer.residual;
        const StoredImage & input = images_[layer.input];
        const double pixels = static_cast<double>(image.width) * image.height;
        if (layer.attention) {
            all[i].extra_bytes = layers_.bytes_of(keys_of(i));
            all[i].work = pixels * image.channels * (4.0 * image.channels + 2 * pixels);
            all[i].must_be_kept = true;
        } else {
            all[i].work = pixels * ggml_nelements(layer.conv.weight);
            if (layer.skip) all[i].work += pixels * ggml_nelements(layer.skip->weight);
        }
        // The input, the input as the convolution reads it, the result, and what is added.
        const int64_t side = options_.side * scale_of(i),
                      out = std::min(side, image.width) * std::min(side, image.height);
        const int64_t in = out * input.width / image.width * input.height / image.height;
        int64_t numbers = in * input.channels + std::max(in, out) * input.channels + out * image.channels;
        if (layer.residual >= 0) numbers += out * images_[layer.residual].channels * (layer.skip ? 2 : 1);
        all[i].tile_bytes = numbers * sizeof(float);
    }
    for (const TiledLayer & layer : chain_) {
        if (layer.attention) all[layer.input].must_be_kept = true; // all of it is read for each tile
    }
    return all;
}

// `side` is in pixels of the smallest image.
std::vector<Tile> TiledEvaluation::tiles_of(int image, int64_t side) const {
    const int64_t scale = scale_of(image);
    const Area whole{{0, images_[image].width}, {0, images_[image].height}};
    return cut(whole, side * scale, side * scale, store_multiple * scale);
}

// Of the tiles in which all of an image is computed: those of small images take no more memory than those of large ones
// if they are larger, and large ones take less time.
int64_t TiledEvaluation::side_of(int image) const {
    size_t bytes = 1;
    for (const int i : tile_sources(described_, plan_.kept, image).computed) {
        bytes = std::max(bytes, described_[i].tile_bytes);
    }
    const size_t most = std::ranges::max(described_, {}, &PlannedImage::tile_bytes).tile_bytes;
    return options_.side * static_cast<int64_t>(std::sqrt(static_cast<double>(most) / static_cast<double>(bytes)));
}

// Tiles for statistics alone: all, or where there are many, the edges and some of half the side, evenly spread. As
// convolutions see zeros beyond an edge, an image differs there from what is inside.
std::vector<Tile> TiledEvaluation::sample_of(int image) const {
    const int64_t step = sample_step(tile_count_);
    const int64_t side = options_.side * scale_of(image), depth = side / 2, even = 2 * scale_of(image);
    const Range x{0, images_[image].width}, y{0, images_[image].height};
    const Range inside_x = width_of(image).circular ? x : Range{depth, x.end - depth};
    const Range inside_y = height_of(image).circular ? y : Range{depth, y.end - depth};
    if (step == 1 || inside_x.length() < side || inside_y.length() < side) {
        return tiles_of(image, side_of(image));
    }

    std::vector<Tile> sample;
    for (const Range & edge : {Range{0, inside_y.begin}, Range{inside_y.end, y.end}}) {
        if (edge.length() > 0) std::ranges::copy(cut({x, edge}, 2 * side, depth, even), std::back_inserter(sample));
    }
    for (const Range & edge : {Range{0, inside_x.begin}, Range{inside_x.end, x.end}}) {
        if (edge.length() > 0)
            std::ranges::copy(cut({edge, inside_y}, depth, 2 * side, even), std::back_inserter(sample));
    }
    // A lattice: lines are shifted against each other by the golden section of the step.
    const auto shift = static_cast<int64_t>(std::lround(0.618 * static_cast<double>(step)));
    const auto first = static_cast<int64_t>(sample.size());
    int64_t taken = 0;
    for (const Tile & tile : cut({inside_x, inside_y}, depth, depth, even)) {
        if ((tile.column + shift * tile.row) % step != 0) continue;
        taken += tile.area.pixels();
        sample.push_back(tile);
    }
    const double represented = static_cast<double>(Area{inside_x, inside_y}.pixels()) / static_cast<double>(taken);
    for (auto tile = sample.begin() + first; tile != sample.end(); ++tile) tile->pixels *= represented;
    return sample;
}

// Lines of whole width, of at most so many pixels where one line is not more.
std::vector<Tile> TiledEvaluation::strips_of(int image, int64_t pixels) const {
    const auto [width, height] = std::pair(images_[image].width, images_[image].height);
    const int64_t lines = std::max<int64_t>(1, pixels / width);
    return cut({{0, width}, {0, height}}, width, lines, lines < store_multiple ? 1 : store_multiple);
}

void TiledEvaluation::evaluate(Tensor given, int64_t index) {
    const int last = static_cast<int>(images_.size()) - 1;
    images_.front().memory = given;
    statistics_.assign(images_.size(), nullptr);
    done_.assign(images_.size(), 0);
    for (int image = 1; image <= last; image++) {
        if (!plan_.kept[image] && !has_statistics_[image]) continue;
        if (plan_.kept[image] && image < last) layers_.place(images_[image], memory_, plan_.memory.images[image]);
        if (layer_of(image).attention) {
            attend(image);
            continue;
        }
        for (const Tile & tile : plan_.kept[image] ? tiles_of(image, side_of(image)) : sample_of(image)) {
            Tensor pixels = compute(image, tile.area);
            if (image == last) {
                layers_.write(result_, pixels, tile.area.x.begin, tile.area.y.begin, index);
                layers_.milestone(result_.memory);
            } else {
                finish(image, tile, pixels);
            }
        }
    }
}

// Keeps a tile of an image, and its share of the statistics.
void TiledEvaluation::finish(int image, const Tile & tile, Tensor pixels) {
    StoredImage & stored = images_[image];
    Tensor done = pixels;
    if (has_statistics_[image]) {
        const double share = tile.pixels / static_cast<double>(stored.width * stored.height);
        done = statistics_[image] = layers_.statistics(statistics_[image], pixels, done_[image], share);
        done_[image] += share;
    }
    if (plan_.kept[image]) {
        layers_.write(stored, pixels, tile.area.x.begin, tile.area.y.begin);
        done = stored.memory;
    }
    layers_.milestone(done);
}

// The pixels of a layer's input that its pixels `out` are computed from.
Area TiledEvaluation::area_read(int image, const Area & out) const {
    const TiledLayer & layer = layer_of(image);
    const auto range = [&](const Range & to, int64_t kernel, const Side & side) {
        const Geometry geometry{layer.geometry};
        const Range read = read_range(geometry, kernel, to);
        if (layer.geometry != Geometry::resized) return side.clipped(read);
        const Range clipped = Side{2 * side.length, side.circular}.clipped(read);
        return Range{rounded_down(clipped.begin, 2) / 2, rounded_up(clipped.end, 2) / 2};
    };
    return {range(out.x, layer.conv.weight->ne[0], width_of(layer.input)),
            range(out.y, layer.conv.weight->ne[1], height_of(layer.input))};
}

// Whole pairs of pixels, for Winograd's algorithm.
Area TiledEvaluation::area_to_compute(int image, Area area) const {
    const auto even = [](const Range & range, const Side & side) {
        return side.clipped({rounded_down(range.begin, 2), rounded_up(range.end, 2)});
    };
    return {even(area.x, width_of(image)), even(area.y, height_of(image))};
}

// Pixels of an image, from images that are kept.
Tensor TiledEvaluation::compute(int image, const Area & area) {
    const TileSources sources = tile_sources(described_, plan_.kept, image);
    std::map<int, Area> areas;
    areas[image] = area;
    const auto need = [&](int input, const Area & read) {
        const auto [found, added] = areas.emplace(input, read);
        if (!added) found->second = found->second.with(read);
    };
    for (auto i = sources.computed.rbegin(); i != sources.computed.rend(); ++i) {
        if (*i != image) areas[*i] = area_to_compute(*i, areas[*i]);
        need(layer_of(*i).input, area_read(*i, areas[*i]));
        // Of a kept image, the residual is read for itself.
        const int residual = layer_of(*i).residual;
        if (residual >= 0 && !plan_.kept[residual]) need(residual, areas[*i]);
    }
    Tiles tiles;
    for (const int i : sources.read) {
        const auto found = areas.find(i);
        if (found != areas.end()) tiles[i] = {found->second, layers_.read(images_[i], found->second.window())};
    }
    for (const int i : sources.computed) tiles[i] = {areas[i], convolve(i, areas[i], tiles)};
    return tiles[image].second;
}

// Pixels of an image of which a tile has at least these, or which is kept.
Tensor TiledEvaluation::part_of(int image, const Area & area, const Tiles & tiles) {
    const auto found = tiles.find(image);
    if (found == tiles.end()) return layers_.read(images_[image], area.window());
    const auto & [there, tile] = found->second;
    if (there == area) return tile;
    if (plan_.kept[image]) return layers_.read(images_[image], area.window());
    const Window within{area.x.begin - there.x.begin, area.y.begin - there.y.begin, area.x.length(), area.y.length()};
    return layers_.read(layers_.as_stored(tile, images_[image].channels), within);
}

Tensor TiledEvaluation::convolve(int image, const Area & out, const Tiles & tiles) {
    const TiledLayer & layer = layer_of(image);
    const auto & [in, tile] = tiles.at(layer.input);
    Geometry geometry{layer.geometry};
    const int64_t times = layer.geometry == Geometry::resized ? 2 : 1;
    const Range x = read_range(geometry, layer.conv.weight->ne[0], out.x), has_x = in.x.times(times);
    const Range y = read_range(geometry, layer.conv.weight->ne[1], out.y), has_y = in.y.times(times);
    geometry.width = has_x.length();
    geometry.height = has_y.length();
    geometry.margins =
        Geometry::Margins{has_x.begin - x.begin, has_y.begin - y.begin, x.end - has_x.end, y.end - has_y.end};
    Epilogue epilogue;
    if (layer.residual >= 0) {
        Tensor residual = part_of(layer.residual, out, tiles);
        epilogue.residual = layer.skip ? layers_.pointwise(*layer.skip, residual) : residual;
    }
    Tensor result;
    if (layer.norm) {
        Norm norm = *layer.norm;
        norm.statistics = statistics_[layer.input];
        result = layers_.norm_conv2d(norm, eps_, layer.conv, tile, epilogue, Activation::silu, geometry);
    } else {
        result = layers_.conv2d(layer.conv, tile, geometry, epilogue);
    }
    return layer.last ? layers_.pointwise(*layer.last, result) : result;
}

StoredKeys TiledEvaluation::keys_of(int image) const {
    return {images_[image].width * images_[image].height, layer_of(image).attention->k.weight->ne[1]};
}

// Queries are strips of the image.
void TiledEvaluation::attend(int image) {
    const int input = layer_of(image).input;
    ImageAttention a = *layer_of(image).attention;
    a.norm.statistics = statistics_[input];
    const StoredImage & from = images_[input];
    const int64_t side = options_.side * scale_of(image), most = std::max(store_multiple * from.width, side * side);
    Epilogue for_gemm;
    for_gemm.for_gemm = true;
    const auto tokens = [&](Tensor strip) { return layers_.norm_tokens(a.norm, eps_, strip); };
    StoredKeys stored = keys_of(image);
    layers_.place(stored, memory_, plan_.memory.extra[image]);
    for (const Tile & strip : strips_of(image, most)) {
        Tensor x = tokens(layers_.read(from, strip.area.window()));
        layers_.write(stored, layers_.linear(a.k, x, for_gemm), layers_.linear(a.v, x, for_gemm),
                      strip.area.y.begin * from.width);
    }
    for (const Tile & strip : strips_of(image, std::min(layers_.most_queries(stored.count), most))) {
        Tensor part = layers_.read(from, strip.area.window());
        Tensor y = layers_.attention(layers_.linear(a.q, tokens(part), for_gemm), stored);
        finish(image, strip, layers_.add_tokens(a.out, y, part));
    }
}

} // namespace

Tensor evaluate_in_tiles(Layers & layers, const std::vector<TiledLayer> & chain, float eps, int64_t channels,
                         int64_t batch, const std::function<Tensor(int64_t index)> & image,
                         const TileOptions & options) {
    Tensor first = image(0);
    TiledEvaluation evaluation(layers, chain, eps, layers.as_stored(first, channels), batch, options);
    for (int64_t i = 0; i < batch; i++) evaluation.evaluate(i == 0 ? first : image(i), i);
    return evaluation.result();
}

} // namespace diffusion
