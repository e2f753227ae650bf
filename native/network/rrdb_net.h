// RRDBNet, the upscaler of ESRGAN (Wang et al. 2018, arXiv:1809.00219) and Real-ESRGAN (2021, arXiv:2107.10833):
// residual-in-residual dense blocks, then repeated 2x upsampling.
#pragma once

#include <array>
#include <vector>

#include "graph/layers.h"
#include "network/image_network.h"

namespace diffusion {

class RrdbNet : public ImageNetwork {
public:
    static bool matches(const WeightBinder & weights);

    // Sizes from tensor shapes. Throws Error (model_unsupported) for unsupported sizes.
    explicit RrdbNet(WeightBinder & weights);

    ImageNetworkKind kind() const override;
    Tensor build_image(Layers & layers, Tensor planes) const override;

private:
    using DenseBlock = std::array<Conv2d, 5>;
    using Block = std::array<DenseBlock, 3>;

    Tensor dense_block(Layers & layers, const DenseBlock & block, Tensor x) const;

    int64_t unshuffle_ = 1; // factor of the pixel unshuffle of the input
    Conv2d first_, after_body_, high_, last_;
    std::vector<Block> body_;
    std::vector<Conv2d> up_;
};

} // namespace diffusion
