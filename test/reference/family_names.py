"""The names that diffusers and transformers give to the tensors of a small SDXL checkpoint.

usage: npm run build:ts && python test/reference/family_names.py     (transformers 5.23.0, diffusers 0.42.1, torch 2.15.0)

Writes family_names.json beside this file: for each component the original names of layers with the ones of diffusers, where both
store the same numbers. Tensors are matched by what they hold, which is random.
"""

import json

import torch
from families import HERE, MODELS, Model
from networks import checkpoint


def layers(original, name):
    """Without what the names of weights and biases end with."""
    for ending in (".weight", ".bias"):
        if original.endswith(ending) and name.endswith(ending):
            return original.removesuffix(ending), name.removesuffix(ending)
    return original, name


@torch.no_grad()
def main():
    model = Model("xl", MODELS["xl"])
    tensors = checkpoint("{ architecture: architectures.xlArchitecture, vocabulary: 1000 }")
    originals = {value.numpy().tobytes(): name for name, value in tensors.items()}
    components = {"unet": model.unet, "vae": model.vae, "text_encoder": model.encoders[0], "text_encoder_2": model.encoders[1]}
    names = {}
    for component, network in components.items():
        found = {name: originals.get(value.contiguous().numpy().tobytes()) for name, value in network.state_dict().items()}
        print(f"{component}: {sum(map(bool, found.values()))} of {len(found)} tensors")
        names[component] = dict(layers(original, name) for name, original in found.items() if original)
    (HERE / "family_names.json").write_text(json.dumps(names, indent=1) + "\n")


if __name__ == "__main__":
    main()
