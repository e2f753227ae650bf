// A network whose input and output are images.
#pragma once

#include <memory>
#include <string>

#include "graph/layers.h"
#include "network/component.h"
#include "weights/weight_binder.h"

namespace diffusion {

// The properties of such a network, read from its tensors.
struct ImageNetworkKind {
    std::string kind;         // "upscaler" or "depth"
    std::string architecture; // "rrdbnet", "compact", "dpt", "dpt-hybrid"
    int64_t scale = 1;        // side of the output over side of the input
    int64_t multiple = 1;     // the input's sides must be multiples of this
    int64_t output_channels = 3;
    int64_t side = 0; // of the images that it was trained on; 0 if any size does
};

// image [batch, 3, height, width], sides multiples of `multiple`
// -> image [batch, output channels, height * scale, width * scale]
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

// `table` under the canonical names of all known image networks.
TensorTable canonical_image_network(const TensorTable & table);

// Recognises a network by canonical names and binds it. Throws Error (model_unsupported) if the tensors are not those
// of a known network; `weights` notes missing tensors and wrong shapes.
std::unique_ptr<ImageNetwork> bind_image_network(WeightBinder & weights);

} // namespace diffusion
