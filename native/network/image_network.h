// A network that turns an image into an image.
#pragma once

#include <memory>
#include <string>

#include "graph/layers.h"
#include "network/component.h"
#include "weights/weight_binder.h"

namespace diffusion {

// What such a network is, by its tensors.
struct ImageNetworkKind {
    std::string kind;         // what it is for: "upscaler" or "depth"
    std::string architecture; // "rrdbnet", "compact", "dpt", "dpt-hybrid"
    int64_t scale = 1;        // pixels that come out along a side of each that goes in
    int64_t multiple = 1;     // of which sides of what goes in must be
    int64_t output_channels = 3;
    int64_t side = 0; // of the images that it was made for; 0 where that does not matter
};

// image [batch, 3, height, width], sides multiples of `multiple` -> image [batch, output channels, height * scale, width * scale]
class ImageNetwork : public Component {
public:
    virtual ImageNetworkKind kind() const = 0;
    // [width, height, 3, batch] -> [width * scale, height * scale, output channels, batch]
    virtual Tensor build_image(Layers & layers, Tensor planes) const = 0;

    Signature signature() const override;
    std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const override {
        return {build_image(layers, evaluation.inputs["image"])};
    }
};

// `table` under canonical names of the networks that are known.
TensorTable canonical_image_network(const TensorTable & table);

// Recognises and binds a network by canonical names. Throws Error (model_unsupported) where the tensors are those of none
// that is known; what is missing or misshapen is noted by `weights`.
std::unique_ptr<ImageNetwork> bind_image_network(WeightBinder & weights);

} // namespace diffusion
