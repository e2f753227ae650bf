"""Golden numbers of torch's CPU generator and of Philox 4x32-10 (written independently of lib/noise), for noise.json.

python test/reference/noise.py > test/reference/noise.json        (torch 2.15.0, CPU)

torch gives: random_() words (their lower 31 bits), uniforms, and the normals of successive randn calls. The Philox
numbers are Random123's published known answers (kat_vectors, "philox4x32 10"), checked here against a bignum
implementation, and normals computed from it by curand's Box-Muller.
"""

import json
import math

import numpy as np
import torch

SEEDS = [0, 42, 2**32 - 1, 0x0123456789ABCDEF]
SIZES = [4, 15, 16, 17, 1000, 4 * 64 * 64]
KNOWN = [
    ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([2**32 - 1] * 4, [2**32 - 1] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def philox(counter, key):
    a, b, c, d = counter
    k, l = key
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (q >> 32) ^ b ^ k, q % 2**32, (p >> 32) ^ d ^ l, p % 2**32
        k, l = (k + 0x9E3779B9) % 2**32, (l + 0xBB67AE85) % 2**32
    return [a, b, c, d]


def philox_normal(seed, call, n):
    f = np.float32
    values = []
    for i in range(n):
        x, y, _, _ = philox([call, 0, i, 0], [seed % 2**32, seed >> 32])
        u = f(float(f(x)) * 2.0**-32 + 2.0**-33)
        step = float(f(2 * math.pi)) * 2.0**-32
        v = f(float(f(y)) * step + step / 2)
        values.append(f(math.sqrt(-2 * math.log(u)) * math.sin(v)))
    return values


def sample(values):
    """Enough of a tensor to pin it: its ends, some of its middle, and its sum in float64."""
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    indices = sorted({i for i in [0, 1, 8, n // 3, n // 2, *range(n - 17, n)] if 0 <= i < n})
    return {"indices": indices, "values": [float(f"{values[i]:.9g}") for i in indices], "sum": float(values.sum())}


def cpu_cases():
    for seed in SEEDS:
        for n in SIZES:
            generator = torch.Generator().manual_seed(seed)
            calls = [sample(torch.randn(n, generator=generator).numpy()) for _ in range(2)]
            # A call of another length afterwards shows what the generator kept.
            then = sample(torch.randn(5, generator=generator).numpy())
            yield {"seed": str(seed), "n": n, "calls": calls, "then": then}


def words(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(1300, dtype=torch.int32).random_(generator=generator).tolist()


def uniforms(seed):
    generator = torch.Generator().manual_seed(seed)
    single = torch.rand(4, generator=generator)
    double = torch.rand(4, generator=generator, dtype=torch.float64)
    return {"float32": single.tolist(), "float64": double.tolist()}


if __name__ == "__main__":
    for counter, key, answer in KNOWN:
        assert philox(counter, key) == answer
    golden = {
        "torch": torch.__version__,
        "philox": [{"counter": c, "key": k, "answer": a} for c, k, a in KNOWN],
        "words": [{"seed": str(s), "last": words(s)[-4:]} for s in SEEDS],
        "uniforms": [{"seed": str(s), **uniforms(s)} for s in SEEDS],
        "cpu": list(cpu_cases()),
        "cuda": [
            {"seed": str(s), "n": n, "calls": [sample(philox_normal(s, call, n)) for call in range(3)]}
            for s in SEEDS
            for n in (4, 17, 1000)
        ],
    }
    print(json.dumps(golden).replace('}, {"', '},\n{"'))
