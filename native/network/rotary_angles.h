// The angles of rotary position embeddings (Su et al. 2021, arXiv:2104.09864) for Rotation::angles.
#pragma once

#include <cmath>
#include <initializer_list>
#include <vector>

#include "graph/layers.h"
#include "network/signature.h"

namespace diffusion {

// A head's channels are divided among axes, in which tokens have positions. Pair i of an axis with d channels turns by
// position / theta^(2i / d), computed in double precision and rounded to f32, as in the implementations that models were
// trained with.
class RotaryAngles {
public:
    // `axes`: channels of each, even.
    RotaryAngles(std::vector<int64_t> axes, double theta, Rotation::Pairs pairs) : pairs_(pairs) {
        for (const int64_t channels : axes) {
            for (int64_t i = 0; i < channels; i += 2) {
                frequencies_.push_back(1 / std::pow(theta, static_cast<double>(i) / static_cast<double>(channels)));
                size_ += 2;
            }
            lengths_.push_back(channels / 2);
        }
    }

    // The next token, with a position in each axis.
    void add(std::initializer_list<int64_t> positions) {
        const size_t at = values_.size();
        values_.resize(at + 2 * size_);
        float * const cosines = values_.data() + at;
        float * const sines = cosines + size_;
        int64_t pair = 0, axis = 0;
        for (const int64_t position : positions) {
            for (int64_t end = pair + lengths_[axis++]; pair < end; pair++) {
                const auto angle = static_cast<float>(static_cast<double>(position) * frequencies_[pair]);
                const bool neighbours = pairs_ == Rotation::neighbours;
                const int64_t first = neighbours ? 2 * pair : pair, second = neighbours ? first + 1 : pair + size_ / 2;
                cosines[first] = cosines[second] = std::cos(angle);
                sines[second] = std::sin(angle);
                sines[first] = -sines[second];
            }
        }
    }

    // [tokens, 2, head size]
    Array take() { return {{static_cast<int64_t>(values_.size()) / (2 * size_), 2, size_}, std::move(values_)}; }

private:
    Rotation::Pairs pairs_;
    std::vector<double> frequencies_; // of each pair
    std::vector<int64_t> lengths_;    // of each axis, in pairs
    int64_t size_ = 0;
    std::vector<float> values_;
};

} // namespace diffusion
