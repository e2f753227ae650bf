// SRVGGNetCompact, the small upscaler of Real-ESRGAN (realesr-general-x4v3, realesr-animevideov3): a sequence of
// convolutions that predicts the residual of the enlarged image.
#pragma once

#include <vector>

#include "graph/layers.h"
#include "network/image_network.h"

namespace diffusion {

class CompactNet : public ImageNetwork {
public:
    static bool matches(const WeightBinder & weights);

    // Sizes from tensor shapes. Throws Error (model_unsupported) for unsupported sizes.
    explicit CompactNet(WeightBinder & weights);

    ImageNetworkKind kind() const override;
    Tensor build_image(Layers & layers, Tensor planes) const override;

private:
    struct Layer {
        Conv2d conv;
        Tensor slopes; // of the PReLU after it
    };

    int64_t scale_ = 1;
    std::vector<Layer> layers_;
    Conv2d last_;
};

} // namespace diffusion
