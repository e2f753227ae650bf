"""Golden numbers for LoRAs in each of their forms, from LyCORIS and PEFT.

usage: npm run build:ts && python test/reference/loras.py
       (lycoris-lora 4.1.3, peft 0.21.2, transformers 5.23.0, diffusers 0.42.1, torch 2.15.0)

The networks are those of networks.py. What a file adds to a layer is computed by LyCORIS's modules, made from its tensors, and for
the files of PEFT by PEFT's own layers; transformers and diffusers then evaluate the networks. Writes, beside this file,

- loras.safetensors: the tensors of each file as `<case>/<name>`, the inputs, `<case>.hidden` of every seventh token, and
  `<case>.prediction`.
- loras.json: the cases, with the weight of the LoRA and the metadata of its file.
"""

import json
import math

import diffusers
import torch
import transformers
from lycoris.functional.lokr import kron_weight
from lycoris.modules import LohaModule, get_module, make_module
from networks import HERE, TINY, Networks, checkpoint
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from safetensors.torch import save_file

RANDOM = torch.Generator().manual_seed(11)
RANK = 3

TRANSFORMER = "down_blocks.0.attentions.0.transformer_blocks.0"
# A layer of every kind: products, one with gates, a 1x1 and a 3x3 convolution, two of the text encoder.
LAYERS = [f"{TRANSFORMER}.attn1.to_q", f"{TRANSFORMER}.attn2.to_k", f"{TRANSFORMER}.ff.net.0.proj", "down_blocks.0.attentions.0.proj_in",
          "down_blocks.0.resnets.0.conv1"]
TEXT_LAYERS = ["encoder.layers.0.self_attn.q_proj", "encoder.layers.1.mlp.fc1"]


def normal(*shape):
    """Such that what a form makes of them is near the size of weights, whatever the form."""
    return torch.randn(shape, generator=RANDOM) * 0.35


def lora(o, i, k, alpha=2.0):
    yield "lora_up.weight", normal(o, RANK, *[1] * len(k))
    yield "lora_down.weight", normal(RANK, i, *k)
    if alpha:
        yield "alpha", torch.tensor(alpha)


def locon_tucker(o, i, k):
    if not math.prod(k) > 1:
        yield from lora(o, i, k)
        return
    yield "lora_up.weight", normal(o, RANK, 1, 1)
    yield "lora_down.weight", normal(RANK, i, 1, 1)
    yield "lora_mid.weight", normal(RANK, RANK, *k)
    yield "alpha", torch.tensor(1.0)


def loha(o, i, k):
    for n in "12":
        yield f"hada_w{n}_a", normal(o, RANK)
        yield f"hada_w{n}_b", normal(RANK, i * math.prod(k))
    yield "alpha", torch.tensor(4.0)


def loha_tucker(o, i, k):
    if not math.prod(k) > 1:
        yield from loha(o, i, k)
        return
    for n in "12":
        yield f"hada_t{n}", normal(RANK, RANK, *k)
        yield f"hada_w{n}_a", normal(RANK, o)
        yield f"hada_w{n}_b", normal(RANK, i)
    yield "alpha", torch.tensor(4.0)


def lokr_whole(o, i, k):
    yield "lokr_w1", normal(4, 2)
    yield "lokr_w2", normal(o // 4, i // 2, *k)
    yield "alpha", torch.tensor(7.0)  # without effect


def lokr(o, i, k):
    yield "lokr_w1", normal(2, 4)
    yield "lokr_w2_a", normal(o // 2, RANK)
    yield "lokr_w2_b", normal(RANK, i // 4, *k)
    yield "alpha", torch.tensor(2.0)


def lokr_both(o, i, k):
    yield "lokr_w1_a", normal(8, RANK)
    yield "lokr_w1_b", normal(RANK, 8)
    if math.prod(k) > 1:
        yield "lokr_t2", normal(RANK, RANK, *k)
        yield "lokr_w2_a", normal(RANK, o // 8)
        yield "lokr_w2_b", normal(RANK, i // 8)
    else:
        yield "lokr_w2_a", normal(o // 8, RANK)
        yield "lokr_w2_b", normal(RANK, i // 8)
    yield "alpha", torch.tensor(1.5)


FORMS = {
    "LoRA with alpha": (lora, 0.8), "LoRA without alpha": (lambda *shape: lora(*shape, alpha=None), -0.5),
    "LoCon with a Tucker core": (locon_tucker, 1), "LoHa": (loha, 1), "LoHa with Tucker cores": (loha_tucker, 1),
    "LoKr of whole factors": (lokr_whole, 0.6), "LoKr of a whole factor and a product": (lokr, 1),
    "LoKr of products and a core": (lokr_both, 1),
}
# alpha of UNet and text encoder in the metadata; by the root of the rank.
PEFT = {
    "PEFT without metadata": (None, False),
    "PEFT with metadata": ({"unet": 6, "text_encoder": 2}, False),
    "PEFT stabilized for its rank": ({"unet": 2, "text_encoder": 1}, True),
}


def layers(networks):
    """Name in kohya-ss's files, the one in PEFT's, and the layer itself."""
    for name in LAYERS:
        yield "lora_unet_" + name.replace(".", "_"), f"unet.{name}", networks.unet.get_submodule(name)
    for name in TEXT_LAYERS:
        whole = f"text_model.{name}"
        yield "lora_te_" + whole.replace(".", "_"), f"text_encoder.{name}", networks.text.get_submodule(name)


def shape_of(layer):
    return layer.weight.shape[0], layer.weight.shape[1], tuple(layer.weight.shape[2:])


def difference(own, name, layer):
    """What a file adds to a layer, by LyCORIS."""
    if any(".lokr_" in key for key in own):
        # Its module takes factors of its own choice of sizes only, its function takes all.
        names = ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")
        parts = [own.get(f"{name}.lokr_{part}") for part in names]
        whole = parts[0] is not None and parts[3] is not None
        scale = 1 if whole else own[f"{name}.alpha"].item() / RANK
        return kron_weight(*parts, scale=scale).reshape(layer.weight.shape)
    # LyCORIS has no layer without alpha; that means an alpha of the rank.
    kind, parameters = get_module({f"{name}.alpha": torch.tensor(float(RANK))} | own, name)
    module = make_module(kind, parameters, name, layer)
    # What LoHa's module is trained with; what it merges has the scale twice.
    weight = module.get_weight(layer.weight.shape) if kind is LohaModule else module.get_diff_weight(1, layer.weight.shape)[0]
    return weight.reshape(layer.weight.shape)


def lycoris_file(networks, form, weight):
    """The tensors of a file, merged into the networks."""
    tensors = {}
    for name, _, layer in layers(networks):
        own = {f"{name}.{part}": value for part, value in form(*shape_of(layer))}
        tensors |= own
        layer.weight += weight * difference(own, name, layer)
    return tensors


def peft_file(networks, alphas, stabilized):
    """The tensors of a file and its metadata as diffusers writes it, put into the networks by PEFT."""
    tensors, metadata = {}, {}
    for _, name, layer in layers(networks):
        o, i, k = shape_of(layer)
        tensors |= {f"{name}.lora_A.weight": normal(RANK, i, *k), f"{name}.lora_B.weight": normal(o, RANK, *[1] * len(k))}
    for component, network, names in (("unet", networks.unet, LAYERS), ("text_encoder", networks.text, TEXT_LAYERS)):
        alpha = alphas[component] if alphas else RANK
        inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=alpha, use_rslora=stabilized, target_modules=list(names)), network)
        own = {key.removeprefix(f"{component}."): value for key, value in tensors.items() if key.startswith(f"{component}.")}
        outcome = set_peft_model_state_dict(network, own)
        assert not outcome.unexpected_keys
        network.eval()
        metadata |= {f"{component}.r": RANK, f"{component}.lora_alpha": alpha, f"{component}.use_rslora": stabilized,
                     f"{component}.target_modules": list(names), f"{component}.alpha_pattern": {}, f"{component}.rank_pattern": {}}
    return tensors, {"lora_adapter_metadata": json.dumps(metadata)} if alphas else None


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    weights = checkpoint("{}")
    goldens = {"tokens": torch.randint(0, 1000, (1, 77), generator=RANDOM, dtype=torch.int32),
               "latent": torch.randn((1, 4, 6, 4), generator=RANDOM), "context": torch.randn((1, 77, 64), generator=RANDOM)}
    cases = []

    def evaluate(name, networks, tensors, weight, metadata=None):
        goldens.update({f"{name}/{key}": value for key, value in tensors.items()})
        goldens[f"{name}.hidden"] = networks.hidden_states(goldens["tokens"], 1)[:, ::7].contiguous()
        goldens[f"{name}.prediction"] = networks.predict(goldens["latent"], torch.tensor([500.0]), goldens["context"]).contiguous()
        cases.append({"name": name, "weight": weight, **({"metadata": metadata} if metadata else {})})
        print(f"{name:40} {len(tensors):3} tensors, prediction deviates by {goldens[f'{name}.prediction'].std():.3f}")

    for name, (form, weight) in FORMS.items():
        networks = Networks(weights, TINY)
        evaluate(name, networks, lycoris_file(networks, form, weight), weight)
    for name, (alphas, stabilized) in PEFT.items():
        networks = Networks(weights, TINY)
        tensors, metadata = peft_file(networks, alphas, stabilized)
        evaluate(name, networks, tensors, 1, metadata)
    save_file({name: value.contiguous() for name, value in goldens.items()}, HERE / "loras.safetensors")
    (HERE / "loras.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
