// How LoRA files name their tensors: which part of an adapter each is, and for which layer, in the naming of several
// tools.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace diffusion {

enum class LoraPart {
    alpha,
    up,
    down,
    mid,
    up_bias,
    hada_w1_a,
    hada_w1_b,
    hada_w2_a,
    hada_w2_b,
    hada_t1,
    hada_t2,
    lokr_w1,
    lokr_w1_a,
    lokr_w1_b,
    lokr_w2,
    lokr_w2_a,
    lokr_w2_b,
    lokr_t2,
    embedding_a, // of an embedding table: PEFT's, transposed
    embedding_b,
    diff, // a full difference
    bias_diff,
};

struct LoraKey {
    std::string layer; // as the file spells it
    LoraPart part;
    std::string_view kind; // the part as the file spells it: "lora_up", "diff_b", ...
};

// Nothing if the name is not that of an adapter's tensor.
std::optional<LoraKey> split_lora_key(std::string_view name);

// The short name of any other tensor in a summary message: the last part of its name.
std::string_view other_tensor_kind(std::string_view name);

// The adapter type, such as "GLoRA", if it is known but not supported; empty for all other tensors.
std::string_view refused_adapter(std::string_view name, int n_dims);

// Vectors of words that were trained with a LoRA and are stored in its file, to be read as embeddings.
bool is_bundled_embedding(std::string_view name);

} // namespace diffusion
