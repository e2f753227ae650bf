"""Writes all_types.gguf and all_types.safetensors with the reference libraries: one tensor of every type, random bytes.

usage: python tensor_files.py FOLDER      (gguf 0.19, safetensors 0.8.0, numpy, torch)
"""
import pathlib
import sys

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

folder = pathlib.Path(sys.argv[1])
random = np.random.default_rng(1)

writer = gguf.GGUFWriter(folder / "all_types.gguf", "test")
writer.add_uint8("number.u8", 255)
writer.add_int8("number.i8", -128)
writer.add_uint16("number.u16", 65535)
writer.add_int16("number.i16", -32768)
writer.add_uint32("number.u32", 4294967295)
writer.add_int32("number.i32", -2147483648)
writer.add_uint64("number.u64", 18446744073709551615)
writer.add_int64("number.i64", -9223372036854775808)
writer.add_float32("number.f32", 0.5)
writer.add_float64("number.f64", -1e300)
writer.add_bool("flag", True)
writer.add_string("text", "größer")
writer.add_array("short", [1, 2, 3])
writer.add_array("long", list(range(1000)))
writer.add_array("words", ["one", "two"])
for kind in gguf.GGMLQuantizationType:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (2, size), dtype=np.uint8)
    writer.add_tensor(f"tensor.{kind.name.lower()}", data, raw_shape=(2, size), raw_dtype=kind)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

types = ["float32", "float16", "bfloat16", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
         "bool", "float8_e4m3fn", "float8_e5m2", "complex64"]
tensors = {f"tensor.{name}": torch.zeros(2, 3).to(getattr(torch, name)) for name in types}
tensors["scalar"] = torch.tensor(1.0)
tensors["empty"] = torch.zeros(0, 4)
tensors["five axes"] = torch.zeros(1, 2, 3, 4, 5)
save_file(tensors, folder / "all_types.safetensors", metadata={"modelspec.prediction_type": "v", "note": "größer"})
