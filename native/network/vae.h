// The interface of all image autoencoders: a decoder and an encoder component.
#pragma once

#include <vector>

#include "network/component.h"
#include "network/model_facts.h"

namespace diffusion {

struct VaeSizes : VaeFacts {
    bool has_encoder = false;
    std::vector<int64_t> level_channels; // finest level first; empty for a tiny one
    bool tiles = false;                  // whether it can be evaluated in tiles
};

// How to evaluate an autoencoder in tiles.
struct VaeTiles {
    int64_t side = 0;  // in pixels of the latent; 0: in one piece
    size_t memory = 0; // bytes
};

VaeTiles read_tiles(const Settings & settings);

// latent [batch, latent channels, height, width] -> image [batch, 3, height * f, width * f], about -1 to 1
class VaeDecoder : public Component {
public:
    explicit VaeDecoder(VaeSizes sizes) : sizes_(std::move(sizes)) {}

    Signature signature() const override;
    std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const override {
        return {decode(layers, evaluation.inputs["latent"], read_tiles(evaluation.settings))};
    }
    Config config() const override;
    void describe(const std::string & name, ModelFacts & facts) const override { facts.decoders[name] = sizes_; }

private:
    virtual Tensor decode(Layers & layers, Tensor latent, const VaeTiles & tiles) const = 0;

    VaeSizes sizes_;
};

// image [batch, 3, height * f, width * f], -1 to 1
// -> moments [batch, 2 * latent channels, height, width]: mean and log variance
class VaeEncoder : public Component {
public:
    explicit VaeEncoder(VaeSizes sizes) : sizes_(std::move(sizes)) {}

    Signature signature() const override;
    std::vector<Tensor> build(Layers & layers, const Evaluation & evaluation) const override {
        return {encode(layers, evaluation.inputs["image"], read_tiles(evaluation.settings))};
    }

private:
    virtual Tensor encode(Layers & layers, Tensor image, const VaeTiles & tiles) const = 0;

    VaeSizes sizes_;
};

} // namespace diffusion
