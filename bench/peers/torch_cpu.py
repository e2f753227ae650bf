"""Times PyTorch with diffusers: a UNet evaluation of both passes and a VAE decode, in bf16 or f32, in both memory layouts.

usage: python bench/peers/torch_cpu.py [--size 512] [--threads 2] [--runs 3] [--dtype bf16]
needs: torch, diffusers
"""

import argparse
import time

import torch
from networks import unet, unet_inputs, vae

arguments = argparse.ArgumentParser()
arguments.add_argument("--size", type=int, default=512)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--runs", type=int, default=3)
arguments.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
options = arguments.parse_args()
torch.set_num_threads(options.threads)
dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[options.dtype]


def fastest(run) -> float:
    run()
    times = []
    for _ in range(options.runs):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


latent, timesteps, context = unet_inputs(options.size, dtype)
with torch.inference_mode():
    for layout in (torch.contiguous_format, torch.channels_last):
        network = unet().to(dtype).to(memory_format=layout)
        x = latent.contiguous(memory_format=layout)
        step = fastest(lambda: network(x, timesteps, encoder_hidden_states=context))
        del network
        decoder = vae().to(dtype).to(memory_format=layout)
        decode = fastest(lambda: decoder.decode(x[:1]))
        del decoder
        print(f"torch {torch.__version__} {options.dtype} {layout}: step {step:.2f} s, VAE decode {decode:.2f} s", flush=True)
