// Depth from one image: the dense prediction transformer (Ranftl et al. 2021, arXiv:2103.13413) of MiDaS 3, with a
// vision transformer as its backbone (DPT-Large), or a residual network followed by one (DPT-Hybrid).
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

    // Sizes from tensor shapes. Throws Error (model_unsupported) for unsupported sizes.
    explicit Dpt(WeightBinder & weights);

    ImageNetworkKind kind() const override;
    // [width, height, 3, batch], 0..1, sides multiples of 32 -> [width, height, 1, batch]: relative inverse depth, >= 0
    Tensor build_image(Layers & layers, Tensor planes) const override;

private:
    struct Bottleneck {
        Conv2d conv1, conv2, conv3;
        Norm norm1, norm2, norm3;
        std::optional<Conv2d> shortcut; // if the number of channels changes
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
    struct Reassembly { // tokens to an image at a level's resolution
        Linear readout, project;
        std::optional<Conv2d> enlarge; // a transposed convolution, see transposed_conv()
        int64_t factor = 1;
        std::optional<Conv2d> reduce;
    };
    struct Residual {
        Conv2d conv1, conv2;
    };
    struct Fusion {
        std::optional<Residual> skip; // except at the coarsest level
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

    int64_t width_ = 0, layers_ = 0; // of the transformer
    int64_t grid_ = 0;               // side of the grid of position embeddings
    std::optional<Backbone> backbone_;
    Linear patches_;
    Tensor class_token_ = nullptr, positions_ = nullptr;
    std::vector<Block> blocks_;
    std::array<Reassembly, 4>
        reassemblies_; // finest level first; DPT-Hybrid uses stages of the residual network for the first two
    std::array<Conv2d, 4> level_convs_;
    std::array<Fusion, 4> fusions_;
    std::array<Conv2d, 3> head_;
};

} // namespace diffusion
