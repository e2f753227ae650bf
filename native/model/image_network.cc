// See image_network.h: the list of the networks that are known.
#include "model/image_network.h"

#include "model/compact_net.h"
#include "model/requirements.h"
#include "model/rrdb_net.h"
#include "model/upscaler_names.h"

namespace diffusion {

TensorTable canonical_image_network(const TensorTable & table) {
    return canonical_upscaler(table);
}

std::unique_ptr<ImageNetwork> bind_image_network(WeightBinder & weights) {
    if (RrdbNet::matches(weights)) return std::make_unique<RrdbNet>(weights);
    if (CompactNet::matches(weights)) return std::make_unique<CompactNet>(weights);
    throw Error(ErrorCode::model_unsupported,
                where(weights.table()) + ": expected an upscaler, but " + contents(weights.table()) +
                    ". Pass a file of ESRGAN or Real-ESRGAN (RRDBNet or SRVGGNetCompact).");
}

} // namespace diffusion
