"""Golden numbers for upscalers, from BasicSR's networks as the package spandrel has them.

usage: npm run build:ts && python test/reference/upscalers.py     (spandrel 0.4.2, torch 2.15.0)

The files are those that the tests write (test/support/tiny-upscalers.ts); a node process writes them here too. Every output is
compared with float64 first. Writes upscalers.safetensors beside this file: a picture of 0..1 and what each network makes of it.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from spandrel import ModelLoader

HERE = Path(__file__).parent
SUPPORT = (HERE / "../../dist/test/support/tiny-upscalers.js").resolve().as_uri()

MODELS = {
    "rrdb x4": "tinyRrdbNet()",
    "rrdb x2": "tinyRrdbNet({ unshuffle: 2, blocks: 1 })",
    "rrdb x1": "tinyRrdbNet({ unshuffle: 4, blocks: 1 })",
    "rrdb x8": "sequenceNames(tinyRrdbNet({ blocks: 1, doublings: 3 }))",
    "compact x3": "tinyCompactNet()",
    "compact x4": "tinyCompactNet({ scale: 4, convolutions: 1, channels: 64 })",
}


def state(expression):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "upscaler.safetensors")
        script = f"""import {{ copyFileSync }} from 'node:fs';
            import {{ sequenceNames, tinyCompactNet, tinyRrdbNet, writeUpscaler }} from {json.dumps(SUPPORT)};
            copyFileSync(writeUpscaler({expression}), {json.dumps(str(path))});"""
        subprocess.run(["node", "--input-type=module", "-e", script], check=True)
        return load_file(path)


def main():
    torch.manual_seed(1)
    image = torch.rand(2, 3, 8, 4)
    goldens = {"image": image}
    for name, expression in MODELS.items():
        network = ModelLoader().load_from_state_dict(state(expression)).model.eval()
        with torch.no_grad():
            output = network.float()(image)
            exact = network.double()(image.double())
        error = (output.double() - exact).abs().max() / exact.abs().max()
        assert error < 1e-5, (name, error)
        print(name, tuple(output.shape), f"{error:.1e}")
        goldens[name] = output.contiguous()
    save_file(goldens, HERE / "upscalers.safetensors")


main()
