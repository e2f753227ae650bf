"""Times PyTorch with diffusers: a UNet evaluation of both passes and a VAE decode, in both memory layouts.

usage: python bench/peers/torch_steps.py [--model sd15] [--size 512] [--device cpu] [--threads 2] [--runs 3] [--dtype bf16]
needs: torch, diffusers
"""

import argparse
import time

import torch
from networks import MODELS, unet, unet_inputs, vae

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}

arguments = argparse.ArgumentParser()
arguments.add_argument("--model", choices=MODELS, default="sd15")
arguments.add_argument("--size", type=int, default=512)
arguments.add_argument("--device", default="cpu")
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--runs", type=int, default=3)
arguments.add_argument("--dtype", choices=DTYPES, default="bf16")
options = arguments.parse_args()
torch.set_num_threads(options.threads)
torch.set_default_device(options.device)
dtype = DTYPES[options.dtype]


def finish() -> None:
    if options.device != "cpu":
        torch.cuda.synchronize()


def fastest(run) -> float:
    run()
    times = []
    for _ in range(options.runs):
        finish()
        start = time.perf_counter()
        run()
        finish()
        times.append(time.perf_counter() - start)
    return min(times)


inputs = unet_inputs(options.size, dtype, options.model)
with torch.inference_mode():
    for layout in (torch.contiguous_format, torch.channels_last):
        network = unet(options.model).to(dtype).to(memory_format=layout)
        inputs["sample"] = inputs["sample"].contiguous(memory_format=layout)
        step = fastest(lambda: network(**inputs))
        del network
        decoder = vae(options.model).to(dtype).to(memory_format=layout)
        decode = fastest(lambda: decoder.decode(inputs["sample"][:1]))
        del decoder
        used = "" if options.device == "cpu" else f", {torch.cuda.max_memory_reserved() / 1e6:.0f} MB"
        print(
            f"torch {torch.__version__} {options.model} {options.size} {options.dtype} {layout}: "
            f"step {1000 * step:.1f} ms, VAE decode {1000 * decode:.1f} ms{used}",
            flush=True,
        )
