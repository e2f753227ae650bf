// Readers of the files written by torch.save: .ckpt, .pt, .pth and .bin.
#pragma once

#include <memory>

#include "io/mapped_file.h"
#include "io/tensor_table.h"

namespace diffusion {

// Since PyTorch 1.6: a zip archive with the pickle `data.pkl` and a stored entry `data/KEY` for every storage. The
// tensors stay in place in the mapping. Throws Error (model_corrupt, model_unsupported, cancelled).
TensorTable read_torch_zip(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation);

// Earlier, and with `_use_new_zipfile_serialization=False`: five pickles (a magic number, a version, the writer's
// system, the object, the keys of its storages), then each storage as a 64-bit count and its elements. Throws Error
// (model_corrupt, model_unsupported, cancelled).
TensorTable read_torch_pickles(std::shared_ptr<const MappedFile> file, const Cancellation & cancellation);

} // namespace diffusion
