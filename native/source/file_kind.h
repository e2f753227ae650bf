// What a tensor file is for, by its tensor names: a model, or something that goes with one.
#pragma once

#include <string>

#include "io/tensor_table.h"

namespace diffusion {

enum class FileKind { unknown, model, lora, embedding, control_net, taesd, upscaler, depth };

// `table` under canonical names (names.h). A part of a model is a model.
FileKind file_kind(const TensorTable & table);

// By names that only it has; an embedding is recognized by its shape, under any word.
bool is_told_by_names(FileKind kind);

// As in lib/native/inspection.ts: "lora"; empty for `unknown`.
std::string file_kind_name(FileKind kind);

// "a LoRA; pass it as an entry of `loras`"; empty for `unknown` and `model`.
std::string what_to_do_with(FileKind kind);

} // namespace diffusion
