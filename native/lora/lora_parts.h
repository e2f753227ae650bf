// A LoRA file's tensors for one layer, and their changes to its weight and bias.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/row_delta.h"
#include "error.h"
#include "io/tensor_table.h"
#include "lora/adapter.h"
#include "lora/lora_targets.h"
#include "lora/peft_config.h"
#include "names/lora_keys.h"

namespace diffusion {

class LoraParts {
public:
    // `path` and the tensors must outlive it.
    LoraParts(const std::string & path, std::string layer) : path_(path), layer_(std::move(layer)) {}

    // Throws Error (model_corrupt) if it already has that part.
    void add(const LoraKey & key, const StoredTensor & tensor);
    int64_t count() const { return static_cast<int64_t>(tensors_.size()); }
    // Total number of elements.
    int64_t numbers() const;
    template <typename Visit> void each(Visit visit) const {
        for (const auto & [part, tensor] : tensors_) visit(*tensor);
    }

    // Their changes to the layer, times `strength`.
    struct Deltas {
        std::vector<std::unique_ptr<RowDelta>> weight, bias;
        std::vector<const StoredTensor *> left; // tensors that the layer has no use for
    };
    // Throws Error: model_incomplete, model_corrupt, model_mismatch, model_unsupported.
    Deltas deltas(const LoraLayer & layer, double strength, const PeftConfigs & peft) const;

private:
    bool has(LoraPart part) const { return tensors_.contains(part); }
    bool has_from(LoraPart first, LoraPart last) const;
    const StoredTensor & tensor(LoraPart part) const;
    Error missing_part() const;
    Matrix matrix(LoraPart part) const;
    void require_shape(int64_t have_rows, int64_t have_columns, int64_t rows, int64_t columns) const;
    void require_sound(const LowRank & p) const;
    double scale(double rank, const PeftConfigs & peft) const;

    std::unique_ptr<RowDelta> low_rank(int64_t rows, int64_t columns, double strength, const PeftConfigs & peft) const;
    std::unique_ptr<RowDelta> hadamard(int64_t rows, int64_t columns, double strength, const PeftConfigs & peft) const;
    std::unique_ptr<RowDelta> kronecker(int64_t rows, int64_t columns, double strength, const PeftConfigs & peft) const;
    std::unique_ptr<RowDelta> embedding(int64_t rows, int64_t columns, double strength, const PeftConfigs & peft) const;
    std::unique_ptr<RowDelta> full(LoraPart part, int64_t rows, int64_t columns, double strength) const;
    LowRank factor(LoraPart a, LoraPart b, LoraPart core) const;
    Matrix kronecker_factor(LoraPart full, LoraPart a, LoraPart b, LoraPart core, int64_t rows, int64_t columns,
                            double & rank) const;

    const std::string & path_;
    std::string layer_;
    std::map<LoraPart, const StoredTensor *> tensors_;
};

} // namespace diffusion
