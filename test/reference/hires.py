"""Golden numbers for images generated in two passes, from diffusers and torch.

usage: npm run build:ts && python test/reference/hires.py     (diffusers 0.42.1, torch 2.15.0)

The networks are those of networks.py. Writes hires.json beside this file: options, and the latent that text to image, torch's
`interpolate` and diffusers' StableDiffusionImg2ImgPipeline after each other end with. Latents are base64 of float32.
"""

import json

import diffusers
import torch
import transformers
from diffusers import EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from img2img import Oracle, base
from networks import HERE, SCHEDULE

DEFAULTS = {"prompt": "a red apple", "negativePrompt": "blurry", "steps": 4, "cfgScale": 5, "seed": 42, "batchSize": 1, "width": 48,
            "height": 32}
CASES = [
    {"hires": {"scale": 2, "steps": 4, "denoisingStrength": 0.5}, "mode": "bilinear"},
    {"hires": {"width": 80, "height": 48, "steps": 3, "denoisingStrength": 0.6, "upscaler": "latent-nearest"}, "mode": "nearest",
     "batchSize": 2},
    {"hires": {"scale": 1.5, "steps": 2, "denoisingStrength": 1, "upscaler": "latent-bicubic"}, "mode": "bicubic", "seed": 7},
]


def generate(oracle, options, mode):
    scheduler = EulerDiscreteScheduler(**SCHEDULE, timestep_spacing="linspace")
    parts = {"vae": oracle.networks.vae, "text_encoder": oracle.networks.text, "tokenizer": oracle.tokenizer,
             "unet": oracle.networks.unet, "scheduler": scheduler, "safety_checker": None, "feature_extractor": None,
             "requires_safety_checker": False}
    batch, hires = options["batchSize"], options["hires"]

    def common():
        return {"prompt_embeds": oracle.embed(options["prompt"]), "negative_prompt_embeds": oracle.embed(options["negativePrompt"]),
                "guidance_scale": options["cfgScale"], "num_images_per_prompt": batch, "output_type": "latent",
                "generator": [torch.Generator().manual_seed(options["seed"] + i) for i in range(batch)]}

    first = StableDiffusionPipeline(**parts)(
        **common(), num_inference_steps=options["steps"], width=options["width"], height=options["height"]).images
    scale = hires.get("scale", 1)
    size = [hires.get("height", options["height"] * scale), hires.get("width", options["width"] * scale)]
    corners = {} if mode == "nearest" else {"align_corners": False}
    large = torch.nn.functional.interpolate(first, size=[round(side / 8) for side in size], mode=mode, **corners)
    steps = int(hires["steps"] / hires["denoisingStrength"])
    second = [StableDiffusionImg2ImgPipeline(**parts)(
        **{**common(), "num_images_per_prompt": 1, "generator": torch.Generator().manual_seed(options["seed"] + i)},
        image=large[i:i + 1], strength=hires["denoisingStrength"], num_inference_steps=steps).images for i in range(batch)]
    return torch.cat(second)


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    oracle = Oracle()
    goldens = []
    for case in CASES:
        mode = case.pop("mode")
        options = DEFAULTS | case
        latent = generate(oracle, options, mode)
        print(options["hires"], list(latent.shape), f"{latent.std():.2f}")
        goldens.append({"options": options, "latent": base(latent.numpy().astype("float32"))})
    (HERE / "hires.json").write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()
