// See language_model_part.h.
#include "family/language_model_part.h"

#include "family/model.h"
#include "network/language_model.h"

namespace diffusion {

FamilyPart language_model_part(int64_t unused, Need need) {
    const auto bind = [unused](Model & model) {
        const LanguageModelConfig config = LanguageModel::read_config(*model.weights);
        model.add("language_model", "language model", [&](WeightBinder & weights) {
            return std::make_unique<LanguageModel>(weights, config, std::min(unused, config.layers - 1));
        });
    };
    return {ModelPart::language_model, "language_model", language_prefix, need, bind};
}

} // namespace diffusion
