// The index of a sharded model: `*.safetensors.index.json`, `*.bin.index.json`.
#pragma once

#include <functional>
#include <memory>

#include "io/mapped_file.h"
#include "io/tensor_table.h"

namespace diffusion {

// Opens every shard in `weight_map`, each a plain file name in the folder of the index, with `read`, and checks that
// the index and the shards list the same tensors. Throws Error (file, model_corrupt, model_unsupported, cancelled).
TensorTable read_shard_index(const MappedFile & index,
                             const std::function<TensorTable(std::shared_ptr<const MappedFile>)> & read,
                             const Cancellation & cancellation);

} // namespace diffusion
