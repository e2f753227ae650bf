"""Stage 5: write an exported checkpoint as GGUF, as it is shipped.

    python quantize.py --model emoji-64.safetensors --output ../emoji-64.gguf

Matrices whose rows are whole blocks of 32 (linear layers, the token embedding) become q8_0, kernels stay f16, and vectors
(norms, biases) become f32. Names and metadata stay as they are.
"""

import argparse
import os
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors import safe_open


def stored_type(value):
    if value.ndim == 2 and value.shape[1] % 32 == 0:
        return Type.Q8_0
    return Type.F32 if value.ndim == 1 else Type.F16


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--model', type=Path, required=True, help='safetensors file that export.py wrote')
    arguments.add_argument('--output', type=Path, required=True)
    options = arguments.parse_args()
    partial = options.output.with_suffix('.tmp')
    writer = gguf.GGUFWriter(partial, arch='sd1')
    bytes_of = {Type.Q8_0: 0, Type.F32: 0, Type.F16: 0}
    with safe_open(options.model, 'numpy') as file:
        for key, text in file.metadata().items():
            if key != 'format':  # torch's mark in safetensors files
                writer.add_string(key, text)
        for name in file.keys():
            value = file.get_tensor(name)
            kind = stored_type(value)
            data = gguf.quants.quantize(value.astype(np.float32), kind)
            writer.add_tensor(name, data, raw_dtype=kind if kind == Type.Q8_0 else None)
            bytes_of[kind] += data.nbytes
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, options.output)
    print(f'{options.output.stat().st_size / 1e6:.1f} MB:',
          ', '.join(f'{size / 1e6:.1f} MB {kind.name}' for kind, size in bytes_of.items()))


if __name__ == '__main__':
    main()
