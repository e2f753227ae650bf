// Areas of images, and how they are divided into tiles.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "graph/layers.h"

namespace diffusion {

inline int64_t rounded_down(int64_t n, int64_t multiple) {
    return n - ((n % multiple) + multiple) % multiple;
}

inline int64_t rounded_up(int64_t n, int64_t multiple) {
    return -rounded_down(-n, multiple);
}

// The pixels begin..end along one side.
struct Range {
    int64_t begin = 0, end = 0;
    int64_t length() const { return end - begin; }
    Range times(int64_t n) const { return {n * begin, n * end}; }
    Range with(const Range & other) const { return {std::min(begin, other.begin), std::max(end, other.end)}; }
};

struct Area {
    Range x, y;
    Window window() const { return {x.begin, y.begin, x.length(), y.length()}; }
    Area with(const Area & other) const { return {x.with(other.x), y.with(other.y)}; }
    int64_t pixels() const { return x.length() * y.length(); }
    bool operator==(const Area & other) const {
        return x.begin == other.x.begin && x.end == other.x.end && y.begin == other.y.begin && y.end == other.y.end;
    }
};

struct Side {
    int64_t length;
    bool circular;
    Range clipped(const Range & range) const {
        return circular ? range : Range{std::max<int64_t>(range.begin, 0), std::min(range.end, length)};
    }
};

struct Tile {
    Area area;
    int64_t column = 0, row = 0;
    double pixels = 0; // that it stands for
};

// Tiles of about the same size, which begin at multiples of `multiple` pixels.
inline std::vector<Tile> cut(const Area & area, int64_t width, int64_t height, int64_t multiple) {
    const auto divided = [&](const Range & range, int64_t most) {
        const int64_t count = (range.length() + most - 1) / most;
        const int64_t length = rounded_up((range.length() + count - 1) / count, multiple);
        std::vector<Range> ranges;
        for (int64_t begin = range.begin; begin < range.end; begin += length) {
            ranges.push_back({begin, std::min(begin + length, range.end)});
        }
        return ranges;
    };
    std::vector<Tile> tiles;
    int64_t row = 0;
    for (const Range & y : divided(area.y, height)) {
        int64_t column = 0;
        for (const Range & x : divided(area.x, width)) {
            const Area part{x, y};
            tiles.push_back({part, column++, row, static_cast<double>(part.pixels())});
        }
        row++;
    }
    return tiles;
}

} // namespace diffusion
