// Depth from one image: the dense prediction transformer (Ranftl et al. 2021, arXiv:2103.13413) of MiDaS 3, on a vision
// transformer alone (DPT-Large) or on one behind a residual network (DPT-Hybrid).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "graph/layers.h"
#include "network/image_network.h"

namespace diffusion {

class Dpt : public ImageNetwork {
public:
    static bool matches(const WeightBinder & weights);

    // Sizes from shapes. Throws Error (model_unsupported) for sizes that no such network has.
    explicit Dpt(WeightBinder & weights);

    ImageNetworkKind kind() const override;
    // [width, height, 3, batch] of 0..1, sides multiples of 32 -> [width, height, 1, batch]: how near, from 0 on, in no unit
    Tensor build_image(Layers & layers, Tensor planes) const override;

private:
    struct Bottleneck {
        Conv2d conv1, conv2, conv3;
        Norm norm1, norm2, norm3;
        std::optional<Conv2d> shortcut; // where the channels change
        Norm shortcut_norm;
    };
    struct Backbone { // residual network of bottlenecks (BiT, Kolesnikov et al. 2020)
        Conv2d stem;
        Norm stem_norm;
        std::vector<std::vector<Bottleneck>> stages;
    };
    struct Block {
        Norm norm1, norm2;
        Linear q, k, v, out, up, down;
    };
    struct Reassembly { // tokens to an image of a level's size
        Linear readout, project;
        std::optional<Conv2d> enlarge; // a transposed convolution, as one to `factor` x `factor` as many channels
        int64_t factor = 1;
        std::optional<Conv2d> reduce;
    };
    struct Residual {
        Conv2d conv1, conv2;
    };
    struct Fusion {
        std::optional<Residual> skip; // where a coarser level comes before
        Residual path;
        Linear out;
    };

    void bind_backbone(WeightBinder & weights);
    Bottleneck bind_bottleneck(WeightBinder & weights, const std::string & prefix, int64_t in);
    void bind_transformer(WeightBinder & weights, int64_t patch_channels);
    Reassembly bind_reassembly(WeightBinder & weights, int level);
    void bind_head(WeightBinder & weights);

    static Tensor bottleneck(Layers & layers, const Bottleneck & block, Tensor image, const Geometry & geometry);
    static Tensor residual(Layers & layers, const Residual & block, Tensor image);
    Tensor positions(Layers & layers, int64_t columns, int64_t rows) const;
    Tensor embed(Layers & layers, Tensor patches, int64_t columns, int64_t rows) const;
    Tensor transform(Layers & layers, const Block & block, Tensor tokens) const;
    Tensor reassemble(Layers & layers, const Reassembly & block, Tensor tokens, int64_t columns, int64_t rows) const;
    Tensor decode(Layers & layers, const std::array<Tensor, 4> & levels) const;

    int64_t width_ = 0, layers_ = 0, grid_ = 0; // of the transformer; places along a side that it has positions for
    std::optional<Backbone> backbone_;
    Linear patches_;
    Tensor class_token_ = nullptr, positions_ = nullptr;
    std::vector<Block> blocks_;
    std::array<Reassembly, 4>
        reassemblies_; // from the finest level; the first two are the backbone's where there is one
    std::array<Conv2d, 4> level_convs_;
    std::array<Fusion, 4> fusions_;
    std::array<Conv2d, 3> head_;
};

} // namespace diffusion
