// One open network from images to images, with its weights on a device. Not thread-safe: its owner calls it from one thread at
// a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cancellation.h"
#include "network/image_network.h"
#include "runtime/evaluator.h"

namespace diffusion {

struct ImageNetworkInfo : ImageNetworkKind {
    int64_t parameters = 0;
    ComputeInfo compute;
};

class ImageEngine {
public:
    // Opens, recognises, checks and places a network. Throws Error; a missing, mismatched or unused tensor is an error.
    static std::unique_ptr<ImageEngine> open(const std::string & path, const EngineOptions & options,
                                             const Cancellation & cancellation);
    ~ImageEngine();

    const ImageNetworkInfo & info() const { return info_; }
    // See Evaluator::profile.
    std::vector<ProfileEntry> profile() const { return evaluator_->profile(); }

    // [batch, 3, height, width], f32, row-major -> [batch, output channels, height * scale, width * scale]. Throws Error
    // (invalid_argument, cancelled, out_of_memory, device, file).
    std::vector<float> evaluate(const std::vector<float> & image, Shape4 shape, const Cancellation & cancellation);

private:
    ImageEngine(const std::string & path, const EngineOptions & options, const Cancellation & cancellation);

    TensorTable table_;
    std::unique_ptr<WeightBinder> weights_;
    std::unique_ptr<ImageNetwork> network_;
    std::unique_ptr<Evaluator> evaluator_;
    ImageNetworkInfo info_;
};

} // namespace diffusion
