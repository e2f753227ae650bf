"""Golden numbers for ControlNets, from diffusers.

usage: npm run build:ts && python test/reference/control.py     (diffusers 0.42.1, torch 2.15.0, opencv-python-headless 5.0)

UNets as in networks.py and families.py, ControlNets as test/support/tiny-control-net.ts writes them. Writes, beside this file,

- control.safetensors: for a model of each kind a latent, hidden states, pictures to follow, and the prediction of the UNet with one
  ControlNet and with two; each compared with float64 first.
- control.json: diffusers' names of the tensors of a ControlNet, by the original ones; options of text-to-image calls with ControlNets
  and the pictures of diffusers' pipeline as base64 of RGB bytes; edges of a picture by OpenCV's Canny.
"""

import json

import cv2
import diffusers
import numpy as np
import torch
import transformers
from diffusers import ControlNetModel, EulerDiscreteScheduler, MultiControlNetModel, StableDiffusionControlNetPipeline
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from diffusers.models.attention_processor import PAGIdentitySelfAttnProcessor2_0
from families import MODELS, Model
from img2img import base, picture
from networks import HERE, SCHEDULE, TINY, Goldens, Networks, checkpoint
from safetensors.torch import save_file
from text import clip_tokenizer

KINDS = {"tiny": {"unet": {**TINY["unet"], "attention_head_dim": 8}, "context": 64, "hint": 8},
         "sd2": {"unet": MODELS["sd2"]["unet"], "context": 128, "hint": 2},
         "xl": {"unet": MODELS["xl"]["unet"], "context": 192, "hint": 2}}


def control_net(kind, seed):
    options = f"{{ architecture: architectures.{kind}Architecture, seed: {seed} }}"
    tensors = checkpoint(options, "control-net")
    sizes = dict(KINDS[kind]["unet"])
    down = ["CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in sizes.pop("attention")]
    halvings = {8: 3, 2: 1}[KINDS[kind]["hint"]]
    network = ControlNetModel(**sizes, down_block_types=down, cross_attention_dim=KINDS[kind]["context"],
                              conditioning_embedding_out_channels=[16 * (i + 1) for i in range(halvings + 1)])
    state = convert_controlnet_checkpoint(dict(tensors), dict(network.config))
    # The converter knows hints of eight convolutions alone, and no vector.
    last = f"controlnet_cond_embedding.blocks.{2 * halvings}"
    state = {name.replace(last, "controlnet_cond_embedding.conv_out"): value for name, value in state.items()}
    for i in (0, 2):
        for part in ("weight", "bias"):
            if (name := f"control_model.label_emb.0.{i}.{part}") in tensors:
                state[f"add_embedding.linear_{i // 2 + 1}.{part}"] = tensors[name]
    network.load_state_dict(state, strict=True)
    return network.eval(), tensors


class Controlled:
    def __init__(self, kind, unet):
        self.kind, self.unet = kind, unet
        (self.first, self.tensors), (self.second, _) = control_net(kind, 2), control_net(kind, 3)

    def to(self, dtype):
        self.dtype = dtype
        for network in (self.unet, self.first, self.second):
            network.eval().to(dtype)

    def predict(self, latent, timesteps, context, vector, controls):
        added = {}
        if vector is not None:
            # diffusers makes the vector of the pooled prompt and of numbers, which it embeds itself.
            pooled, numbers = vector
            added = {"added_cond_kwargs": {"text_embeds": pooled.to(self.dtype), "time_ids": numbers.to(self.dtype)}}
        latent, context = latent.to(self.dtype), context.to(self.dtype)
        skips, middle = None, 0
        for network, hint, strength in controls:
            down, mid = network(latent, timesteps, encoder_hidden_states=context, controlnet_cond=hint.to(self.dtype),
                                conditioning_scale=strength, return_dict=False, **added)
            skips = down if skips is None else [a + b for a, b in zip(skips, down)]
            middle = middle + mid
        return self.unet(latent, timesteps, encoder_hidden_states=context, down_block_additional_residuals=skips,
                         mid_block_additional_residual=middle, **added).sample


def goldens_of(g, kind, unet):
    n = Controlled(kind, unet)
    factor = KINDS[kind]["hint"]
    latent = g.normal(f"{kind}.latent", 2, 4, 8, 6)
    context = g.normal(f"{kind}.context", 2, 77, KINDS[kind]["context"])
    hints = [torch.rand(1, 3, 8 * factor, 6 * factor, generator=g.random) for _ in range(2)]
    g[f"{kind}.hint0"], g[f"{kind}.hint1"] = hints
    vector = None
    if "numbers" in MODELS.get(kind, {}):
        vector = g.normal(f"{kind}.pooled", 2, 128), torch.tensor([MODELS[kind]["numbers"]] * 2)
    timesteps = torch.tensor([601.5, 120.0])
    one = [(n.first, hints[0], 0.8)]
    g.compute(f"{kind}.none", n, lambda: unet(latent.to(n.dtype), timesteps,
              encoder_hidden_states=context.to(n.dtype)).sample if vector is None else n.predict(latent, timesteps, context, vector, [(n.first, hints[0], 0.0)]))
    g.compute(f"{kind}.one", n, lambda: n.predict(latent, timesteps, context, vector, one))
    g.compute(f"{kind}.two", n, lambda: n.predict(latent, timesteps, context, vector, [*one, (n.second, hints[1], 1.25)]))
    if kind == "tiny":
        # Of its two halves the processor perturbs the second. Of the UNet alone, as in diffusers' pipelines.
        twice = lambda x: torch.cat([x, x])
        attends = dict(unet.attn_processors)
        unet.set_attn_processor({name: PAGIdentitySelfAttnProcessor2_0() if "mid_block" in name and "attn1" in name else processor
                                 for name, processor in attends.items()})
        g.compute("tiny.identity", n, lambda: n.predict(
            twice(latent), twice(timesteps), twice(context), None, [(n.first, hints[0], 0.8)])[2:])
        unet.set_attn_processor(attends)
        perturbed = (g["tiny.identity"] - g["tiny.one"]).std()
        print(f"tiny: its perturbed attention changes the prediction by {perturbed:.4f}")
        assert perturbed > 0.0005
    other = n.predict(latent, timesteps, context, vector, [(n.first, hints[1], 0.8)])
    print(f"{kind}: another image changes the prediction by {(other - g[f'{kind}.one']).std():.3f}")
    assert (other - g[f"{kind}.one"]).std() > 0.05
    assert (g[f"{kind}.one"] - g[f"{kind}.none"]).std() > 0.05 and (g[f"{kind}.two"] - g[f"{kind}.one"]).std() > 0.05
    return n


def names(n):
    originals = {value.numpy().tobytes(): name for name, value in n.tensors.items()}
    result = {originals[value.numpy().tobytes()]: name for name, value in n.first.state_dict().items()}
    assert len(result) == len(n.tensors)
    return result


PICTURES = [
    {"controls": [{"strength": 1, "start": 0, "end": 1}]},
    {"controls": [{"strength": 0.6, "start": 0.2, "end": 0.7}]},
    {"controls": [{"strength": 0.9, "start": 0, "end": 0.6}, {"strength": 0.5, "start": 0.4, "end": 1}], "batchSize": 2},
]
DEFAULTS = {"prompt": "a red apple", "negativePrompt": "blurry", "steps": 5, "cfgScale": 5, "seed": 42, "batchSize": 1,
            "width": 48, "height": 32}


def generate(options, networks, nets, images):
    controls = options["controls"]
    pipeline = StableDiffusionControlNetPipeline(
        vae=networks.vae, text_encoder=networks.text, tokenizer=clip_tokenizer(), unet=networks.unet,
        controlnet=MultiControlNetModel(nets[:len(controls)]), scheduler=EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="linspace"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)

    def embed(prompt):
        tokens = pipeline.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        return networks.hidden_states(tokens, 1)

    generated = pipeline(
        prompt_embeds=embed(options["prompt"]), negative_prompt_embeds=embed(options["negativePrompt"]), image=images[:len(controls)],
        width=options["width"], height=options["height"], num_inference_steps=options["steps"], guidance_scale=options["cfgScale"],
        num_images_per_prompt=options["batchSize"], output_type="np",
        generator=[torch.Generator().manual_seed(options["seed"] + i) for i in range(options["batchSize"])],
        controlnet_conditioning_scale=[float(c["strength"]) for c in controls],
        control_guidance_start=[float(c["start"]) for c in controls], control_guidance_end=[float(c["end"]) for c in controls]).images
    assert np.std(generated) > 0.05
    print(f"image {options['controls']}: deviation {np.std(generated):.3f}")
    return {"options": options, "images": [base((image * 255).round().astype("uint8")) for image in generated]}


def pictures():
    networks = Networks(checkpoint("{ vocabulary: 49408 }"), TINY)
    nets = [control_net("tiny", seed)[0] for seed in (2, 3)]
    images = [picture(48, 32), picture(48, 32).rotate(180)]
    generated = [generate({**DEFAULTS, **options}, networks, nets, images) for options in PICTURES]
    return {"images": [base(np.asarray(image)) for image in images], "cases": generated}


def edges():
    """A image with lines in all directions, gentle and steep, and noise; its edges at two pairs of thresholds."""
    y, x = np.mgrid[0:48, 0:64].astype(np.float64)
    random = np.random.default_rng(3)
    disk = 90 * (np.hypot(x - 24, y - 24) < 15)
    stripes = 60 * ((x * 0.4 + y) % 23 < 9)
    planes = [disk + stripes + 30, 200 - disk + 2 * x, 40 * np.sin(x / 5) + 40 * np.cos(y / 3) + 90]
    image = np.clip(np.stack(planes, -1) + random.normal(0, 6, (48, 64, 3)), 0, 255).round().astype("uint8")
    found = []
    for low, high in ((100, 200), (40, 90), (0, 0)):
        result = cv2.Canny(image, low, high)
        print(f"edges {low} {high}: {(result > 0).mean():.3f}")
        found.append({"low": low, "high": high, "edges": base(np.packbits(result > 0))})
    return {"width": 64, "height": 48, "data": base(image), "found": found}


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    goldens = Goldens()
    tiny = goldens_of(goldens, "tiny", Networks(checkpoint("{}"), TINY).unet)
    for kind in ("sd2", "xl"):
        goldens_of(goldens, kind, Model(kind, MODELS[kind]).unet)
    save_file(dict(goldens), HERE / "control.safetensors")
    (HERE / "control.json").write_text(json.dumps({"names": names(tiny), **pictures(), "canny": edges()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
