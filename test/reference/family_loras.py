"""Golden numbers for LoRAs of Stable Diffusion 2, SDXL and SSD-1B, from diffusers.

usage: npm run build:ts && python test/reference/family_loras.py
       (peft 0.21.2, transformers 5.23.0, diffusers 0.42.1, torch 2.15.0)

The networks are those of families.py. A LoRA of rank 1 for a layer of every kind, in the names of kohya-ss, is loaded by diffusers'
pipeline, whose own conversion finds the layers; its networks then answer. Writes, beside this file,

- family_loras.safetensors: the tensors of each LoRA as `<model>/<name>`, the inputs, and what the networks say.
- family_loras.json: for each model, the names of PEFT by those of kohya-ss.
"""

import json

import diffusers
import torch
import transformers
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from families import HERE, MODELS, SCHEDULE, Model
from networks import UNET, checkpoint
from safetensors.torch import save_file

RANDOM = torch.Generator().manual_seed(3)
WEIGHT = 0.7

BLOCK = "attentions.{}.transformer_blocks.{}"
ATTENTION = [f"down_blocks.{{0}}.{BLOCK.format(0, 0)}.attn1.to_q", f"down_blocks.{{0}}.{BLOCK.format(0, 0)}.attn2.to_k",
             f"down_blocks.{{0}}.{BLOCK.format(0, 0)}.ff.net.0.proj", "down_blocks.{0}.attentions.0.proj_in",
             f"up_blocks.{{1}}.{BLOCK.format(1, 0)}.attn1.to_v", f"up_blocks.{{1}}.{BLOCK.format(1, 0)}.attn2.to_out.0"]
RESIDUAL = ["down_blocks.0.resnets.0.conv1", "down_blocks.0.downsamplers.0.conv", "up_blocks.0.upsamplers.0.conv",
            "up_blocks.1.resnets.1.conv_shortcut", "mid_block.resnets.0.time_emb_proj"]
TEXT = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2"]
LAYERS = {
    "sd2": [name.format(0, 1) for name in ATTENTION] + RESIDUAL,
    "xl": [name.format(1, 0) for name in ATTENTION] + RESIDUAL
          + [f"mid_block.{BLOCK.format(0, 1)}.attn1.to_k", "add_embedding.linear_1"],
    "ssd": [name.format(1, 0) for name in ATTENTION] + RESIDUAL,
}


def pair(layer):
    o, i, *k = layer.weight.shape
    return torch.randn((o, 1, *[1] * len(k)), generator=RANDOM) * 0.3, torch.randn((1, i, *k), generator=RANDOM) * 0.3


def original_names(name, network):
    """Original names of a UNet's layers by diffusers'. Weights are matched by what they hold, which is random."""
    tensors = checkpoint(f"{{ architecture: architectures.{name}Architecture }}")
    originals = {value.numpy().tobytes(): key.removeprefix(UNET) for key, value in tensors.items() if key.startswith(UNET)}
    return {key.removesuffix(".weight"): originals[value.numpy().tobytes()].removesuffix(".weight")
            for key, value in network.state_dict().items() if key.endswith(".weight")}


def lora(model):
    """kohya-ss's name, PEFT's name, and the factors of each layer. For SDXL, kohya-ss's scripts keep the original
    names, which diffusers reads where blocks are numbered as in SDXL."""
    originals = original_names(model.name, model.unet)
    for name in LAYERS[model.name]:
        kohya = originals[name] if model.name == "xl" else name
        yield f"lora_unet_{kohya.replace('.', '_')}", f"unet.{name}", *pair(model.unet.get_submodule(name))
    for i, encoder in enumerate(model.encoders):
        kohya, peft = (f"lora_te{i + 1}", f"text_encoder{'_2' if i else ''}") if model.xl else ("lora_te", "text_encoder")
        for part in TEXT:
            name = f"encoder.layers.1.{part}"
            layer = (getattr(encoder, "text_model", encoder)).get_submodule(name)
            yield f"{kohya}_text_model_{name.replace('.', '_')}", f"{peft}.text_model.{name}", *pair(layer)


def pipeline(model):
    scheduler = EulerDiscreteScheduler(**SCHEDULE)
    if model.xl:
        return StableDiffusionXLPipeline(
            vae=model.vae, text_encoder=model.encoders[0], text_encoder_2=model.encoders[1], tokenizer=None, tokenizer_2=None,
            unet=model.unet, scheduler=scheduler, add_watermarker=False)
    return StableDiffusionPipeline(vae=model.vae, text_encoder=model.encoders[0], tokenizer=None, unet=model.unet, scheduler=scheduler,
                                   safety_checker=None, feature_extractor=None, requires_safety_checker=False)


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    goldens, names = {}, {}
    for name in LAYERS:
        model = Model(name, MODELS[name])
        model.to(torch.float32)
        tokens = torch.randint(0, 999, (1, 77), generator=RANDOM, dtype=torch.int32)
        tokens[0, 20] = 999
        latent = torch.randn((1, 4, 8, 6), generator=RANDOM)
        # Not made by the text encoders, so that a fault in one network does not show in the other.
        context = torch.randn((1, 77, sum(encoder.config.hidden_size for encoder in model.encoders)), generator=RANDOM)
        vector = torch.randn((1, 128), generator=RANDOM)
        predict = lambda: model.predict(latent, torch.tensor([601.5]), context, vector)
        before = predict()
        state, own = {}, {}
        for kohya, peft, up, down in lora(model):
            own[kohya] = peft
            state |= {f"{kohya}.lora_up.weight": up, f"{kohya}.lora_down.weight": down, f"{kohya}.alpha": torch.tensor(1.0)}
        whole = pipeline(model)
        whole.load_lora_weights(dict(state), adapter_name="lora")
        whole.set_adapters("lora", WEIGHT)
        layers = [m for network in (model.unet, *model.encoders) for m in network.modules() if hasattr(m, "lora_A")]
        assert len(layers) == len(own), (len(layers), len(own))
        goldens |= {f"{name}/{key}": value for key, value in state.items()}
        goldens |= {f"{name}.tokens": tokens, f"{name}.latent": latent, f"{name}.context": context, f"{name}.vector": vector,
                    f"{name}.prediction": predict()}
        for i in range(len(model.encoders)):
            goldens[f"{name}.hidden{i}"] = model.hidden(i, tokens, 1)[:, ::7]
        names[name] = own
        change = (goldens[f"{name}.prediction"] - before).abs().max() / before.abs().max()
        print(f"{name}: {len(state)} tensors, prediction changes by {change:.2f}")
    save_file({name: value.contiguous() for name, value in goldens.items()}, HERE / "family_loras.safetensors")
    (HERE / "family_loras.json").write_text(json.dumps(names, indent=1) + "\n")


if __name__ == "__main__":
    main()
