// See image_engine.h.
#include "runtime/image_engine.h"

#include "backend/memory.h"
#include "source/source.h"
#include "weights/requirements.h"

namespace diffusion {

namespace {

constexpr int64_t image_channels = 3;

} // namespace

std::unique_ptr<ImageEngine> ImageEngine::open(const std::string & path, const EngineOptions & options,
                                               const Cancellation & cancellation) {
    return std::unique_ptr<ImageEngine>(new ImageEngine(path, options, cancellation));
}

ImageEngine::ImageEngine(const std::string & path, const EngineOptions & options, const Cancellation & cancellation) {
    const LogScope scope(options.on_log);
    table_ = canonical_image_network(TensorTable::open(depth_estimator_file(path), cancellation));
    weights_ = std::make_unique<WeightBinder>(table_);
    network_ = bind_image_network(*weights_);
    require_sound(*weights_);
    for (const StoredTensor & tensor : table_.tensors()) info_.parameters += tensor.n_elements();
    evaluator_ = std::make_unique<Evaluator>(*weights_, options, cancellation);
    static_cast<ImageNetworkKind &>(info_) = network_->kind();
    info_.compute = evaluator_->info();
}

ImageEngine::~ImageEngine() {
    evaluator_.reset();
    return_freed_memory();
}

std::vector<float> ImageEngine::evaluate(const std::vector<float> & image, Shape4 shape,
                                         const Cancellation & cancellation) {
    check_image("image", image.size(), shape, image_channels, info_.scale);
    if (shape[2] % info_.multiple != 0 || shape[3] % info_.multiple != 0) {
        throw Error(ErrorCode::invalid_argument,
                    "image: expected sides that are multiples of " + std::to_string(info_.multiple) + ".");
    }
    const auto build = [&](Layers & layers, std::span<const Tensor> in) { return network_->build(layers, in[0]); };
    return evaluator_->run(info_.kind.c_str(), "", {image_input(image, shape)}, build, cancellation);
}

} // namespace diffusion
