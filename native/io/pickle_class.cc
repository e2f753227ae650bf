// The list of allowed classes: PyTorch's tensors, and what PyTorch Lightning, NumPy and OmegaConf leave in checkpoints.
#include "io/pickle_class.h"

#include <algorithm>
#include <iterator>

namespace diffusion {

namespace {

constexpr PickleClass classes[] = {
    {"collections", "OrderedDict", ClassRole::dict},
    {"collections", "defaultdict", ClassRole::dict},
    {"builtins", "dict", ClassRole::dict},
    {"__builtin__", "dict", ClassRole::dict}, // Python 2's name of the module, which protocol 2 always uses

    {"torch._utils", "_rebuild_tensor", ClassRole::tensor},
    {"torch._utils", "_rebuild_tensor_v2", ClassRole::tensor},
    {"torch._utils", "_rebuild_tensor_v3", ClassRole::tensor},
    {"torch._utils", "_rebuild_parameter", ClassRole::parameter},
    {"torch._utils", "_rebuild_parameter_with_state", ClassRole::parameter},
    {"torch.nn.modules.container", "ParameterDict", ClassRole::container},
    {"torch.nn.modules.container", "ParameterList", ClassRole::container},

    {"torch", "FloatStorage", ClassRole::storage, "f32"},
    {"torch", "HalfStorage", ClassRole::storage, "f16"},
    {"torch", "BFloat16Storage", ClassRole::storage, "bf16"},
    {"torch", "DoubleStorage", ClassRole::storage, "f64"},
    {"torch", "CharStorage", ClassRole::storage, "i8"},
    {"torch", "ShortStorage", ClassRole::storage, "i16"},
    {"torch", "IntStorage", ClassRole::storage, "i32"},
    {"torch", "LongStorage", ClassRole::storage, "i64"},
    {"torch", "ByteStorage", ClassRole::storage, "u8"},
    {"torch", "BoolStorage", ClassRole::storage, "bool"},
    {"torch", "ComplexFloatStorage", ClassRole::storage, "c64"},
    {"torch", "ComplexDoubleStorage", ClassRole::storage, "c128"},
    {"torch.storage", "UntypedStorage", ClassRole::storage, "bytes"},

    {"torch", "float32", ClassRole::dtype, "f32"},
    {"torch", "float16", ClassRole::dtype, "f16"},
    {"torch", "bfloat16", ClassRole::dtype, "bf16"},
    {"torch", "float64", ClassRole::dtype, "f64"},
    {"torch", "int8", ClassRole::dtype, "i8"},
    {"torch", "int16", ClassRole::dtype, "i16"},
    {"torch", "int32", ClassRole::dtype, "i32"},
    {"torch", "int64", ClassRole::dtype, "i64"},
    {"torch", "uint8", ClassRole::dtype, "u8"},
    {"torch", "uint16", ClassRole::dtype, "u16"},
    {"torch", "uint32", ClassRole::dtype, "u32"},
    {"torch", "uint64", ClassRole::dtype, "u64"},
    {"torch", "bool", ClassRole::dtype, "bool"},
    {"torch", "float8_e4m3fn", ClassRole::dtype, "f8_e4m3"},
    {"torch", "float8_e5m2", ClassRole::dtype, "f8_e5m2"},
    {"torch", "float8_e8m0fnu", ClassRole::dtype, "f8_e8m0"},
    {"torch", "float8_e4m3fnuz", ClassRole::dtype, "f8_e4m3fnuz"},
    {"torch", "float8_e5m2fnuz", ClassRole::dtype, "f8_e5m2fnuz"},
    {"torch", "complex64", ClassRole::dtype, "c64"},
    {"torch", "complex128", ClassRole::dtype, "c128"},

    {"torch", "Size", ClassRole::inert},
    {"torch", "device", ClassRole::inert},
    {"torch.torch_version", "TorchVersion", ClassRole::inert},
    {"numpy", "dtype", ClassRole::inert},
    {"numpy", "ndarray", ClassRole::inert},
    {"numpy.core.multiarray", "scalar", ClassRole::inert},
    {"numpy.core.multiarray", "_reconstruct", ClassRole::inert},
    {"numpy._core.multiarray", "scalar", ClassRole::inert},
    {"numpy._core.multiarray", "_reconstruct", ClassRole::inert},
    {"_codecs", "encode", ClassRole::inert}, // how protocol 2 writes bytes
    {"builtins", "set", ClassRole::inert},
    {"__builtin__", "set", ClassRole::inert},
    {"builtins", "list", ClassRole::inert},
    {"__builtin__", "list", ClassRole::inert},
    {"builtins", "int", ClassRole::inert},
    {"__builtin__", "int", ClassRole::inert},
    {"collections", "Counter", ClassRole::inert},
    {"argparse", "Namespace", ClassRole::inert},
    {"typing", "Any", ClassRole::inert},
    {"pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint", ClassRole::inert},
    {"pytorch_lightning.callbacks.early_stopping", "EarlyStopping", ClassRole::inert},
    {"pytorch_lightning.utilities.parsing", "AttributeDict", ClassRole::inert},
    {"omegaconf.dictconfig", "DictConfig", ClassRole::inert},
    {"omegaconf.listconfig", "ListConfig", ClassRole::inert},
    {"omegaconf.base", "ContainerMetadata", ClassRole::inert},
    {"omegaconf.base", "Metadata", ClassRole::inert},
    {"omegaconf.nodes", "AnyNode", ClassRole::inert},
};

} // namespace

const PickleClass * find_pickle_class(std::string_view module, std::string_view name) {
    const auto * found = std::ranges::find_if(
        classes, [&](const PickleClass & known) { return known.module == module && known.name == name; });
    return found == std::end(classes) ? nullptr : found;
}

} // namespace diffusion
