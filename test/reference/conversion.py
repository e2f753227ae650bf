"""Golden bytes of weights in the types of GGUF, as the package gguf quantizes them, for conversion.json: their SHA-256.

usage: python test/reference/conversion.py      (gguf 0.19.0, numpy 2)
"""

import hashlib
import json
from pathlib import Path

import gguf
import numpy as np

TYPES = gguf.GGMLQuantizationType

# Exact in both languages: quotients of integers, rounded to float32.
index = np.arange(64 * 512, dtype=np.int64)
values = ((index * 7919 % 10007 - 5003) / 5003).astype(np.float32).reshape(64, 512)

hashes = {}
for name in ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]:
    data = gguf.quants.quantize(values, TYPES[name.upper()])
    hashes[name] = hashlib.sha256(data.tobytes()).hexdigest()
Path(__file__).with_suffix(".json").write_text(json.dumps(hashes, indent=2) + "\n")
