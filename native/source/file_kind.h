// What a tensor file is for, by its tensor names: a model, or something that goes with one.
#pragma once

#include <string>

#include "io/tensor_table.h"

namespace diffusion {

enum class FileKind { unknown, model, lora, embedding, control_net, taesd, upscaler, depth };

// `table` under canonical names (names.h). A part of a model is a model.
FileKind file_kind(const TensorTable & table);

// Whether the kind has characteristic tensor names; an embedding is recognized by its shape, under any word.
bool is_known_by_names(FileKind kind);

// As in lib/native/inspection.ts: "lora"; empty for `unknown`.
std::string file_kind_name(FileKind kind);

// What the file is and how to use it: "a LoRA; pass it in `loras`"; empty for `unknown` and `model`.
std::string what_to_do_with(FileKind kind);

} // namespace diffusion
