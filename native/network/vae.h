// The interface of all image autoencoders: a decoder and an encoder component.
#pragma once

#include <vector>

#include "network/component.h"
#include "network/model_facts.h"

namespace diffusion {

struct VaeSizes : VaeFacts {
    bool has_encoder = false;
    std::vector<int64_t> level_channels; // finest level first; empty for a tiny one
};

// latent [batch, latent channels, height, width] -> image [batch, 3, height * f, width * f], about -1 to 1
class VaeDecoder : public Component {
public:
    explicit VaeDecoder(VaeSizes sizes) : sizes_(std::move(sizes)) {}

    Signature signature() const override;
    std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const override {
        return {decode(layers, evaluation.inputs["latent"])};
    }
    Config config() const override;
    void describe(const std::string & name, ModelFacts & facts) const override { facts.decoders[name] = sizes_; }

private:
    virtual Tensor decode(Layers & layers, Tensor latent) const = 0;

    VaeSizes sizes_;
};

// image [batch, 3, height * f, width * f], -1 to 1
// -> moments [batch, 2 * latent channels, height, width]: mean and log variance
class VaeEncoder : public Component {
public:
    explicit VaeEncoder(VaeSizes sizes) : sizes_(std::move(sizes)) {}

    Signature signature() const override;
    std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const override {
        return {encode(layers, evaluation.inputs["image"])};
    }

private:
    virtual Tensor encode(Layers & layers, Tensor image) const = 0;

    VaeSizes sizes_;
};

} // namespace diffusion
