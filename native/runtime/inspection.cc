// See inspection.h.
#include "runtime/inspection.h"

namespace diffusion {

Inspection inspect(const Source & source, const Cancellation & cancellation) {
    const auto model = bind_model(source, {}, cancellation);
    Inspection result;
    result.files = model->tensors.table.files();
    result.kind = file_kind_name(model->kind);
    result.family = model->family_name;
    result.layout = model->tensors.layout;
    if (model->unet || model->family->flow) result.noise = model->noise;
    result.parts = model->parts;
    // Parts are only known for supported families, and for files that hold a part of a model.
    if (!model->parts.empty() && model->family->runs) {
        for (const FamilyPart * part : absent_parts(*model)) result.absent.emplace_back(part->kind);
    }
    result.missing = model->weights->missing();
    result.mismatched = model->weights->mismatched();
    result.mismatched.insert(result.mismatched.end(), model->problems.begin(), model->problems.end());
    result.unused = model->unused;
    if (!result.files.empty()) result.metadata = result.files.front().metadata;
    return result;
}

} // namespace diffusion
