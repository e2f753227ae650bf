// The classes and functions that a checkpoint's pickle may name. None is ever called: a role says how it is read.
#pragma once

#include <cstddef>
#include <string_view>

#include "ggml.h"

namespace diffusion {

enum class ClassRole {
    dict,      // a dictionary, whatever its class
    tensor,    // torch._utils._rebuild_tensor_v2 and its like: a view of a storage
    parameter, // torch._utils._rebuild_parameter: its first argument, a tensor
    container, // a torch.nn container of parameters, which are in its state
    storage,   // torch.FloatStorage, ...: type of a storage
    dtype,     // torch.float32, ...: type of a tensor over an untyped storage
    inert,     // what training leaves beside the weights: read over
};

struct PickleClass {
    std::string_view module;
    std::string_view name;
    ClassRole role;
    // Of a storage or dtype. The names are those of safetensors in lower case.
    const char * type_name = "";
    size_t element_size = 0;          // bytes
    ggml_type type = GGML_TYPE_COUNT; // GGML_TYPE_COUNT where ggml has none
};

// nullptr for a class that is not on the list.
const PickleClass * find_pickle_class(std::string_view module, std::string_view name);

} // namespace diffusion
