"""Golden numbers for tiny autoencoders, from diffusers' AutoencoderTiny.

usage: npm run build:ts && python test/reference/taesd.py     (diffusers 0.42.1, torch 2.15.0)

The files are those that the tests write (test/support/tiny-autoencoder.ts). Every output is compared with float64 first. Writes
taesd.safetensors beside this file: a picture of -1..1 and its latent, a latent and its picture, for each network.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
SUPPORT = (HERE / "../../dist/test/support/tiny-autoencoder.js").resolve().as_uri()
MODELS = {
    "taesd": ("tinyAutoencoder()", {"encoder": (1, 3, 3, 3), "decoder": (3, 3, 3, 1)}),
    "small": ("tinyAutoencoder({ encoderBlocks: [1, 2], decoderBlocks: [2, 1] })", {"encoder": (1, 2), "decoder": (2, 1)}),
}


def state(expression):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "taesd.safetensors")
        script = f"""import {{ copyFileSync }} from 'node:fs';
            import {{ tinyAutoencoder, writeTinyAutoencoder }} from {json.dumps(SUPPORT)};
            copyFileSync(writeTinyAutoencoder({expression}), {json.dumps(str(path))});"""
        subprocess.run(["node", "--input-type=module", "-e", script], check=True)
        return load_file(path)


def main():
    torch.manual_seed(2)
    goldens = {"image": torch.rand(2, 3, 16, 24) * 2 - 1, "latent": 2 * torch.randn(2, 4, 2, 3)}
    for name, (expression, blocks) in MODELS.items():
        levels = len(blocks["encoder"])
        network = AutoencoderTiny(
            encoder_block_out_channels=(8,) * levels, decoder_block_out_channels=(8,) * levels,
            num_encoder_blocks=blocks["encoder"], num_decoder_blocks=blocks["decoder"]).eval()
        network.load_state_dict(state(expression), strict=True)
        for key, evaluate in (("encoded", lambda dtype: network.to(dtype).encode(goldens["image"].to(dtype)).latents),
                              ("decoded", lambda dtype: network.to(dtype).decode(goldens["latent"].to(dtype)).sample)):
            with torch.no_grad():
                output, exact = evaluate(torch.float32), evaluate(torch.float64)
            error = (output.double() - exact).abs().max() / exact.abs().max()
            assert error < 1e-5, (name, key, error)
            print(name, key, tuple(output.shape), f"{error:.1e}")
            goldens[f"{name} {key}"] = output.contiguous()
    save_file(goldens, HERE / "taesd.safetensors")


main()
