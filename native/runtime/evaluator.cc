// See evaluator.h.
#include "runtime/evaluator.h"

#include "backend/memory.h"

namespace diffusion {

namespace {

// Bytes of weights, packed, up to which a model is faster to keep so than to hold in the file's form.
constexpr size_t small_model = size_t{256} << 20;

[[noreturn]] void invalid(const std::string & message) {
    throw Error(ErrorCode::invalid_argument, message);
}

} // namespace

void check_image(const char * name, size_t have, const Shape4 & shape, int64_t channels, int64_t scale) {
    // No side of an image or a latent is longer, and no image larger; with that no product here or in a graph overflows.
    constexpr int64_t longest = 1 << 16, most_elements = int64_t{1} << 32, most_pixels = int64_t{1} << 28;
    int64_t n = 1;
    for (const int64_t side : shape) {
        if (side < 1 || side > longest) invalid(std::string(name) + ": expected sides of 1 to 65536.");
        n *= side;
        if (n > most_elements) invalid(std::string(name) + ": expected at most 2^32 values.");
    }
    if (shape[2] * shape[3] > most_pixels / (scale * scale)) {
        invalid(std::string(name) + ": expected at most 2^28 pixels in an image.");
    }
    if (shape[1] != channels) invalid(std::string(name) + ": expected " + std::to_string(channels) + " channels.");
    if (static_cast<int64_t>(have) != n) invalid(std::string(name) + ": the number of values does not fit the shape.");
}

GraphInput image_input(const std::vector<float> & data, const Shape4 & s) {
    return {GGML_TYPE_F32, {s[3], s[2], s[1], s[0]}, data.data()};
}

Evaluator::Evaluator(const WeightBinder & weights, const EngineOptions & options, const Cancellation & cancellation)
    : on_log_(options.on_log) {
    device_.emplace(options.device, options.threads, options.precision);
    weights_.emplace(weights.table(), weights.bindings(), device_->backend(), device_->packed_weights(),
                     options.placement, options.on_progress, cancellation);
    if (device_->cpu()) {
        int64_t numbers = 0;
        for (const auto & binding : weights.bindings()) numbers += ggml_nelements(binding.tensor);
        PackedWeights & packed = device_->cpu()->weights;
        packed.keep_all = numbers * device_->cpu()->kernels.operand_size <= small_model;
        packed.on_packed = [this](Tensor tensor) {
            if (const auto * stored = weights_->in_file(tensor)) release_mapped(stored->data, stored->n_bytes);
        };
        info_.precision = ggml_type_name(device_->cpu()->kernels.operand);
    }
    if (options.profile) profile_.emplace();
    runner_.emplace(*device_, profile_ ? &*profile_ : nullptr);
    info_.device = options.device;
    info_.threads = options.threads;
    info_.mapped_bytes =
        measure_weights(weights.table(), weights.bindings(), device_->backend(), device_->cpu(), options.placement)
            .mapped;
    info_.allocated_bytes = weights_->allocated_bytes();
}

std::vector<float> Evaluator::run(const char * network, const std::string & variant,
                                  const std::vector<GraphInput> & inputs, const Build & build,
                                  const Cancellation & cancellation) {
    weights_->update(cancellation);
    weights_->check_unchanged();
    const LogScope scope(on_log_);
    const Runner::Build build_all = [&](Layers & layers, std::span<const Tensor> in) -> std::vector<Tensor> {
        return {build(layers, in)};
    };
    std::vector<float> result = std::move(runner_->run(network, variant, inputs, build_all, cancellation).front());
    weights_->check_unchanged();
    return result;
}

void Evaluator::set_deltas(const PlacedWeights::Deltas & deltas) {
    CpuContext * const cpu = device_->cpu();
    PackedWeights::Deltas packed;
    PlacedWeights::Deltas placed;
    for (const auto & [binding, delta] : deltas) {
        if (cpu && binding->for_gemm) {
            packed.emplace(binding->tensor, delta);
            continue;
        }
        placed.emplace(binding, delta);
        if (PlacedWeights::can_merge(binding->tensor->type)) continue;
        throw Error(ErrorCode::model_unsupported, "A LoRA cannot be added on this device to weights of the type " +
                                                      std::string(binding->stored->type->name) +
                                                      ". Use a model in another type.");
    }
    PlacedWeights::Change change = weights_->change_to(std::move(placed));
    // Nothing below throws: all of it is in force, or none.
    runner_->clear();
    weights_->apply(std::move(change));
    if (cpu) cpu->weights.set_deltas(std::move(packed));
}

std::vector<ProfileEntry> Evaluator::profile() const {
    return profile_ ? profile_->entries() : std::vector<ProfileEntry>();
}

} // namespace diffusion
