// See model.h.
#include "family/model.h"

#include <algorithm>

#include "io/file_error.h"
#include "weights/requirements.h"

namespace diffusion {

namespace {

std::string where(const Model & model) {
    return where(model.tensors.table);
}

// Does work that throws if tensors are not those of a known network, and notes the error as a problem.
template <typename Work> void attempt(Model & model, Work work) {
    try {
        work();
    } catch (const Error & error) {
        model.problems.push_back(error.what());
    }
}

void recognise(Model & model) {
    const auto & all = families();
    const auto find = [&] {
        return std::ranges::find_if(all, [&](const Family * family) { return family->matches(model); });
    };
    auto found = find();
    // A denoiser that no family knows by its names is a UNet, or is reported as a bad one.
    if (found == all.end() && model.has(unet_prefix)) {
        const bool open_clip = model.tensors.open_clip.at(static_cast<size_t>(ModelPart::text_encoder));
        attempt(model, [&] { model.unet = Unet::read_config(*model.weights, open_clip); });
        found = find();
    }
    model.family = found == all.end() ? &no_family() : *found;
    model.family_name = model.family->name + (model.family->variant ? model.family->variant(model) : "");
}

PartInfo describe(const Model & model, const FamilyPart & part) {
    PartInfo info;
    info.kind = part.kind;
    const std::string prefix = part.prefix;
    for (const StoredTensor & tensor : model.tensors.table.tensors()) {
        if (!tensor.name.starts_with(prefix)) continue;
        info.parameters += tensor.n_elements();
        info.n_bytes += static_cast<int64_t>(tensor.n_bytes);
        info.types[std::string(tensor.type->name)]++;
    }
    return info;
}

void bind_parts(Model & model) {
    for (const FamilyPart & part : model.family->parts) {
        if (!model.has(part.prefix)) continue;
        const size_t first = model.components.size();
        attempt(model, [&] { part.bind(model); });
        if (model.components.size() == first) continue;
        model.parts.push_back(describe(model, part));
        model.parts.back().config = model.components[first].network->config();
    }
    for (const BoundComponent & component : model.components) {
        component.network->describe(component.name, model.facts);
    }
}

void bind_noise(Model & model, const NoiseGiven & given) {
    const TensorTable & table = model.tensors.table;
    if (model.family->flow) {
        model.noise = read_flow_noise(model.tensors.noise, given);
        return;
    }
    if (given.shift) {
        throw Error(ErrorCode::invalid_argument,
                    "flowShift: expected none, since only models of flow matching have a shift of their noise levels.");
    }
    try {
        Noise noise = read_noise(model.tensors.noise, given);
        table.check_unchanged();
        const auto likely = model.family->likely_prediction;
        if (noise.prediction.empty()) noise.prediction = likely ? likely(model) : "epsilon";
        if (noise.prediction != "epsilon" && noise.prediction != "v") {
            throw Error(ErrorCode::model_unsupported,
                        "Expected a UNet that predicts epsilon or v, found one trained to predict " +
                            quote(noise.prediction) + ".");
        }
        if (noise.zero_terminal_snr && noise.prediction == "epsilon") {
            noise.warnings.push_back(
                "The noise schedule of this model has zero terminal SNR, where an epsilon prediction determines no "
                "image; such models usually predict v (option `prediction`)");
        }
        model.noise = std::move(noise);
    } catch (const Error & error) {
        table.check_unchanged(); // a file that changed while being read is not the model's fault
        if (error.code() != ErrorCode::model_unsupported) throw;
        model.problems.push_back(error.what());
    }
}

[[noreturn]] void refuse_unknown(const Model & model) {
    throw Error(ErrorCode::model_unsupported,
                where(model) + ": expected a Stable Diffusion model, but " + contents(model.tensors.table) +
                    ". Pass a checkpoint of Stable Diffusion 1.x, 2.x or XL, or of Z-Image.");
}

std::string with_its_option(const FamilyPart & absent) {
    switch (absent.part) {
        case ModelPart::unet: return "the UNet (option `unet`)";
        case ModelPart::text_encoder: return "the text encoder (option `textEncoder`)";
        case ModelPart::text_encoder_2: return "the second text encoder (option `textEncoder2`)";
        case ModelPart::language_model: return "the language model (option `llm`)";
        default: return "the VAE (option `vae`)";
    }
}

void require_complete(const Model & model) {
    std::vector<std::string> names;
    for (const FamilyPart * part : absent_parts(model)) names.push_back(with_its_option(*part));
    if (names.empty()) return;
    throw Error(ErrorCode::model_incomplete, where(model) + ": expected a complete model, but " + some_of(names) +
                                                 (names.size() > 1 ? " are" : " is") + " missing.");
}

} // namespace

bool Model::has(const std::string & prefix) const {
    return std::ranges::any_of(tensors.table.tensors(),
                               [&](const StoredTensor & tensor) { return tensor.name.starts_with(prefix); });
}

std::unique_ptr<Model> bind_model(const Source & source, const NoiseGiven & given, const Cancellation & cancellation,
                                  const TypeRequest & types) {
    auto model = std::make_unique<Model>();
    model->tensors = open_source(source, cancellation);
    model->weights = std::make_unique<WeightBinder>(model->tensors.table);
    model->kind = file_kind(model->tensors.table);
    model->family = &no_family();
    // Files that are used along with a model may have tensor names like those of a model's networks.
    if (!what_to_do_with(model->kind).empty()) return model;
    convert_tensors(model->tensors, source, types);
    recognise(*model);
    bind_parts(*model);
    bind_noise(*model, given);
    model->unused = unused_tensors(*model->weights);
    return model;
}

std::vector<const FamilyPart *> absent_parts(const Model & model) {
    std::vector<const FamilyPart *> absent;
    const auto & parts = model.family->parts;
    const bool one_of_either = std::ranges::any_of(
        parts, [&](const FamilyPart & part) { return part.need == Need::either && model.has(part.prefix); });
    bool either = one_of_either;
    for (const FamilyPart & part : parts) {
        if (part.need == Need::optional || model.has(part.prefix)) continue;
        if (part.need == Need::either && std::exchange(either, true)) continue;
        absent.push_back(&part);
    }
    return absent;
}

void require_runnable(const Model & model) {
    const std::string what = what_to_do_with(model.kind);
    if (!what.empty()) {
        throw Error(ErrorCode::model_unsupported,
                    where(model) + ": expected a Stable Diffusion model, found " + what + ".");
    }
    const Family & family = *model.family;
    if (!family.runs) {
        throw Error(
            ErrorCode::model_unsupported,
            where(model) +
                ": expected a model of Stable Diffusion 1.x, 2.x or XL, or of Z-Image, found one of the family '" +
                family.name + "', which is not supported.");
    }
    const bool empty = std::ranges::none_of(
        family.parts, [&](const FamilyPart & part) { return part.need != Need::optional && model.has(part.prefix); });
    if (empty) refuse_unknown(model);
    if (&family == &no_family()) family.require_fit(model);
    if (!model.problems.empty())
        throw Error(ErrorCode::model_unsupported, where(model) + ": " + model.problems.front());
    require_complete(model);
    require_sound(*model.weights);
    family.require_fit(model);
}

} // namespace diffusion
