// See image_network.h: the list of known image networks.
#include "network/image_network.h"

#include "names/dpt_names.h"
#include "names/unwrap.h"
#include "names/upscaler_names.h"
#include "network/compact_net.h"
#include "network/dpt.h"
#include "network/rrdb_net.h"
#include "source/file_kind.h"
#include "weights/requirements.h"

namespace diffusion {

Signature ImageNetwork::signature() const {
    const ImageNetworkKind k = kind();
    constexpr int64_t image_channels = 3;
    const int64_t in = k.multiple, out = k.multiple * k.scale;
    Signature s;
    s.inputs = {{"image", {"batch", image_channels, {"height", in}, {"width", in}}}};
    s.outputs = {{"image", {"batch", k.output_channels, {"height", out}, {"width", out}}}};
    return s;
}

TensorTable canonical_image_network(const TensorTable & table) {
    const TensorTable bare = unwrap(table, [](const TensorTable & t) { return is_known_by_names(file_kind(t)); });
    return holds_dpt(bare) ? canonical_dpt(bare) : canonical_upscaler(bare);
}

std::unique_ptr<ImageNetwork> bind_image_network(WeightBinder & weights) {
    if (RrdbNet::matches(weights)) return std::make_unique<RrdbNet>(weights);
    if (CompactNet::matches(weights)) return std::make_unique<CompactNet>(weights);
    if (Dpt::matches(weights)) return std::make_unique<Dpt>(weights);
    throw Error(ErrorCode::model_unsupported,
                where(weights.table()) + ": expected an upscaler or a depth estimator, but " +
                    contents(weights.table()) +
                    ". Pass an ESRGAN or Real-ESRGAN file (RRDBNet or SRVGGNetCompact), or a MiDaS 3 file (DPT).");
}

} // namespace diffusion
