// See image_network.h: the list of the networks that are known.
#include "model/image_network.h"

#include "model/compact_net.h"
#include "model/dpt.h"
#include "model/dpt_names.h"
#include "model/file_kind.h"
#include "model/requirements.h"
#include "model/rrdb_net.h"
#include "model/unwrap.h"
#include "model/upscaler_names.h"

namespace diffusion {

TensorTable canonical_image_network(const TensorTable & table) {
    const TensorTable bare = unwrap(table, [](const TensorTable & t) { return is_told_by_names(file_kind(t)); });
    return holds_dpt(bare) ? canonical_dpt(bare) : canonical_upscaler(bare);
}

std::unique_ptr<ImageNetwork> bind_image_network(WeightBinder & weights) {
    if (RrdbNet::matches(weights)) return std::make_unique<RrdbNet>(weights);
    if (CompactNet::matches(weights)) return std::make_unique<CompactNet>(weights);
    if (Dpt::matches(weights)) return std::make_unique<Dpt>(weights);
    throw Error(ErrorCode::model_unsupported,
                where(weights.table()) + ": expected an upscaler or a depth estimator, but " +
                    contents(weights.table()) +
                    ". Pass a file of ESRGAN or Real-ESRGAN (RRDBNet or SRVGGNetCompact), or of MiDaS 3 (DPT).");
}

} // namespace diffusion
