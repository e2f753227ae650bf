"""Golden numbers for pictures that can be laid side by side, from diffusers with circular padding in every convolution.

usage: npm run build:ts && python test/reference/tileable.py     (diffusers 0.42.1, torch 2.15.0)

The checkpoint is that of networks.py. Writes tileable.safetensors beside this file: predictions of the UNet and pictures of the VAE
decoder, wrapped along both sides (xy) and along one (x, y).
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

from networks import TINY, Networks, checkpoint

HERE = Path(__file__).parent


def wrap(network, sides):
    """Joins the sides of what every padded convolution of the network sees."""
    for module in network.modules():
        if not isinstance(module, torch.nn.Conv2d) or module.padding == (0, 0):
            continue
        def forward(x, module=module):
            across, down = module.padding[1], module.padding[0]
            x = torch.nn.functional.pad(x, (across, across, 0, 0), mode="circular" if "x" in sides else "constant")
            x = torch.nn.functional.pad(x, (0, 0, down, down), mode="circular" if "y" in sides else "constant")
            return torch.nn.functional.conv2d(x, module.weight, module.bias, module.stride)
        module.forward = forward


def main():
    torch.manual_seed(3)
    tensors = checkpoint("{}")
    goldens = {"latent": torch.randn(1, 4, 4, 6), "context": torch.randn(1, 77, 64), "timesteps": torch.tensor([801.0])}
    for sides in ("xy", "x", "y"):
        networks = Networks(tensors, TINY)
        for network in (networks.unet, networks.vae):
            wrap(network, sides)
        with torch.no_grad():
            goldens[f"{sides} prediction"] = networks.predict(goldens["latent"], goldens["timesteps"], goldens["context"])
            goldens[f"{sides} image"] = networks.decode(goldens["latent"])
    save_file({name: value.contiguous() for name, value in goldens.items()}, HERE / "tileable.safetensors")


main()
