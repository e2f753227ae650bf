// From the values of a PyTorch checkpoint's pickle to named tensors.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/pickle.h"
#include "io/tensor_table.h"

namespace diffusion {

// What a pickle says of memory that tensors share, in the persistent id ('storage', type, key, location, count).
struct StorageReference {
    const NumberType * type = nullptr;
    std::string_view key;
    uint64_t n_bytes = 0;
};

// Throws Error (model_corrupt, model_unsupported) where `value`, a persistent one, is no such reference.
StorageReference read_storage_reference(const Pickle & pickle, const PickleValue & value, const std::string & path);

// Gives the bytes of a storage, at least as many as the reference says; throws Error where there are none.
using StorageLookup = std::function<const uint8_t *(const StorageReference & storage)>;

struct PickledTensors {
    std::vector<StoredTensor> tensors;
    std::map<std::string, std::string> metadata;
};

// Names each tensor by the keys and list indices that lead to it, with points between them; what a `state_dict` at the
// top holds is named from there, and the rest beside it is dropped. Keys of other kinds than text, numbers and classes
// lead nowhere. Numbers and short texts become metadata under such names, the first 1000 of them.
// Every tensor is checked to lie within its storage. Throws Error (model_corrupt, model_unsupported, cancelled).
PickledTensors collect_tensors(const Pickle & pickle, const std::string & path, const StorageLookup & find_storage,
                               const Cancellation & cancellation);

} // namespace diffusion
