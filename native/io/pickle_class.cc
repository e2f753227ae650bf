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
    {"__builtin__", "dict", ClassRole::dict}, // as Python 2 called the module, and protocol 2 does for ever

    {"torch._utils", "_rebuild_tensor", ClassRole::tensor},
    {"torch._utils", "_rebuild_tensor_v2", ClassRole::tensor},
    {"torch._utils", "_rebuild_tensor_v3", ClassRole::tensor},
    {"torch._utils", "_rebuild_parameter", ClassRole::parameter},
    {"torch._utils", "_rebuild_parameter_with_state", ClassRole::parameter},
    {"torch.nn.modules.container", "ParameterDict", ClassRole::container},
    {"torch.nn.modules.container", "ParameterList", ClassRole::container},

    {"torch", "FloatStorage", ClassRole::storage, "f32", 4, GGML_TYPE_F32},
    {"torch", "HalfStorage", ClassRole::storage, "f16", 2, GGML_TYPE_F16},
    {"torch", "BFloat16Storage", ClassRole::storage, "bf16", 2, GGML_TYPE_BF16},
    {"torch", "DoubleStorage", ClassRole::storage, "f64", 8, GGML_TYPE_F64},
    {"torch", "CharStorage", ClassRole::storage, "i8", 1, GGML_TYPE_I8},
    {"torch", "ShortStorage", ClassRole::storage, "i16", 2, GGML_TYPE_I16},
    {"torch", "IntStorage", ClassRole::storage, "i32", 4, GGML_TYPE_I32},
    {"torch", "LongStorage", ClassRole::storage, "i64", 8, GGML_TYPE_I64},
    {"torch", "ByteStorage", ClassRole::storage, "u8", 1},
    {"torch", "BoolStorage", ClassRole::storage, "bool", 1},
    {"torch", "ComplexFloatStorage", ClassRole::storage, "c64", 8},
    {"torch", "ComplexDoubleStorage", ClassRole::storage, "c128", 16},
    {"torch.storage", "UntypedStorage", ClassRole::storage, "bytes", 1},

    {"torch", "float32", ClassRole::dtype, "f32", 4, GGML_TYPE_F32},
    {"torch", "float16", ClassRole::dtype, "f16", 2, GGML_TYPE_F16},
    {"torch", "bfloat16", ClassRole::dtype, "bf16", 2, GGML_TYPE_BF16},
    {"torch", "float64", ClassRole::dtype, "f64", 8, GGML_TYPE_F64},
    {"torch", "int8", ClassRole::dtype, "i8", 1, GGML_TYPE_I8},
    {"torch", "int16", ClassRole::dtype, "i16", 2, GGML_TYPE_I16},
    {"torch", "int32", ClassRole::dtype, "i32", 4, GGML_TYPE_I32},
    {"torch", "int64", ClassRole::dtype, "i64", 8, GGML_TYPE_I64},
    {"torch", "uint8", ClassRole::dtype, "u8", 1},
    {"torch", "uint16", ClassRole::dtype, "u16", 2},
    {"torch", "uint32", ClassRole::dtype, "u32", 4},
    {"torch", "uint64", ClassRole::dtype, "u64", 8},
    {"torch", "bool", ClassRole::dtype, "bool", 1},
    {"torch", "float8_e4m3fn", ClassRole::dtype, "f8_e4m3", 1},
    {"torch", "float8_e5m2", ClassRole::dtype, "f8_e5m2", 1},
    {"torch", "float8_e8m0fnu", ClassRole::dtype, "f8_e8m0", 1},
    {"torch", "float8_e4m3fnuz", ClassRole::dtype, "f8_e4m3fnuz", 1},
    {"torch", "float8_e5m2fnuz", ClassRole::dtype, "f8_e5m2fnuz", 1},
    {"torch", "complex64", ClassRole::dtype, "c64", 8},
    {"torch", "complex128", ClassRole::dtype, "c128", 16},

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
