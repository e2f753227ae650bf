// The index that ties the files of a sharded model together: `*.safetensors.index.json`, `*.bin.index.json`.
#pragma once

#include <functional>
#include <memory>

#include "io/mapped_file.h"
#include "io/tensor_table.h"

namespace diffusion {

// Opens every shard that `weight_map` names, each a plain file name beside the index, by `read`, and checks that the index and
// the shards list the same tensors. Throws Error (file, model_corrupt, model_unsupported, cancelled).
TensorTable read_shard_index(const MappedFile & index,
                             const std::function<TensorTable(std::shared_ptr<const MappedFile>)> & read,
                             const Cancellation & cancellation);

} // namespace diffusion
