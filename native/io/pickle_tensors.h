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

// A pickle's reference to memory that tensors share, from the persistent id ('storage', type, key, location, count).
struct StorageReference {
    const NumberType * type = nullptr;
    std::string_view key;
    uint64_t n_bytes = 0;
};

// Throws Error (model_corrupt, model_unsupported) if `value`, a persistent one, is not such a reference.
StorageReference read_storage_reference(const Pickle & pickle, const PickleValue & value, const std::string & path);

// Returns the bytes of a storage, at least as many as the reference says; throws Error if it has none.
using StorageLookup = std::function<const uint8_t *(const StorageReference & storage)>;

struct PickledTensors {
    std::vector<StoredTensor> tensors;
    std::map<std::string, std::string> metadata;
};

// Names each tensor by the keys and list indices that lead to it, joined with dots; the names in a top-level
// `state_dict` start there, and everything next to it is dropped. Values under keys other than strings, numbers and
// classes are ignored. Numbers and short strings become metadata under such names, the first 1000 of them. Checks that
// every tensor lies within its storage. Throws Error (model_corrupt, model_unsupported, cancelled).
PickledTensors collect_tensors(const Pickle & pickle, const std::string & path, const StorageLookup & find_storage,
                               const Cancellation & cancellation);

} // namespace diffusion
