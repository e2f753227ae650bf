// The classes and functions that a checkpoint's pickle may name. None is ever called: a role says how it is read.
#pragma once

#include <string_view>

namespace diffusion {

enum class ClassRole {
    dict,      // a dictionary, whatever its class
    tensor,    // torch._utils._rebuild_tensor_v2 and similar: a view of a storage
    parameter, // torch._utils._rebuild_parameter: its first argument, a tensor
    container, // a torch.nn container of parameters, which are in its state
    storage,   // torch.FloatStorage, ...: type of a storage
    dtype,     // torch.float32, ...: type of a tensor over an untyped storage
    inert,     // left by training next to the weights: ignored
};

struct PickleClass {
    std::string_view module;
    std::string_view name;
    ClassRole role;
    std::string_view type_name = {}; // of a storage or dtype: its NumberType
};

// nullptr for a class that is not on the list.
const PickleClass * find_pickle_class(std::string_view module, std::string_view name);

} // namespace diffusion
