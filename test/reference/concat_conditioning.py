"""Golden images of models with concat conditioning (inpainting, edits, depth), from diffusers.

usage: npm run build:ts && python test/reference/concat_conditioning.py     (diffusers 0.42.1, torch 2.15.0, Pillow 12)

The checkpoints are tiny ones as in families.py. Writes concat_conditioning.json next to this file: an image, its mask and its depth, the
options of each call, and the final latents and the images of StableDiffusionInpaintPipeline, StableDiffusionInstructPix2PixPipeline
and StableDiffusionDepth2ImgPipeline. Pixels are base64 of bytes, latents base64 of float32.
"""

import json

import diffusers
import numpy as np
import torch
import transformers
from diffusers import StableDiffusionDepth2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionInstructPix2PixPipeline
from depth import network_for, processor_of_tiny, state
from families import FIRST, HERE, MODELS, Model
from img2img import DEFAULTS, PREDICTIONS, SCHEDULERS, base, picture, rectangle, sized
from networks import SCHEDULE
from PIL import Image
from text import clip_tokenizer

KINDS = {
    "inpaint": (MODELS["inpaint"], [
        {"strength": 0.6},
        {"strength": 1, "prediction": "v"},
        {"strength": 0.8, "sampler": "euler_a", "cfgScale": 1},
    ]),
    "edit": ({"unet": {**FIRST, "in_channels": 8}, "clip": (64, 2), "open_clip": None}, [
        {"imageCfgScale": 1.5},
        {"imageCfgScale": 1, "prediction": "v"},
        {"imageCfgScale": 2.5, "batchSize": 2, "sampler": "euler_a", "steps": 4},
    ]),
    "depth": ({**MODELS["sd2"], "unet": {**MODELS["sd2"]["unet"], "in_channels": 5}}, [
        {"strength": 0.7},
        {"strength": 0.9, "batchSize": 2, "sampler": "euler_a", "prediction": "v", "steps": 5},
        {"strength": 0.8, "steps": 4, "estimated": True},
    ]),
}


class Oracle:
    def __init__(self, kind):
        self.kind = kind
        self.model = Model(kind, KINDS[kind][0], 49408)
        self.model.to(torch.float32)
        self.tokenizer = clip_tokenizer()
        if kind == "depth":
            self.tokenizer.pad_token = "!"  # token 0

    def embed(self, prompt):
        tokens = self.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        return self.model.hidden(0, tokens, 2 if self.kind == "depth" else 1)

    def estimator(self, options):
        """The hybrid network of depth.py for images of 64x32, to which it brings the image."""
        if "estimated" not in options:
            return {"depth_estimator": None, "feature_extractor": None}
        network = network_for(True, state(True), 32, 64)
        return {"depth_estimator": network, "feature_extractor": processor_of_tiny()}

    def pipeline(self, options):
        parts = {"vae": self.model.vae, "text_encoder": self.model.encoders[0], "tokenizer": self.tokenizer, "unet": self.model.unet,
                 "scheduler": SCHEDULERS[options["sampler"]](
                     **SCHEDULE, prediction_type=PREDICTIONS[options["prediction"]], timestep_spacing="linspace")}
        if self.kind == "depth":
            pipeline = StableDiffusionDepth2ImgPipeline(**parts, **self.estimator(options))
        else:
            kind = StableDiffusionInpaintPipeline if self.kind == "inpaint" else StableDiffusionInstructPix2PixPipeline
            pipeline = kind(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def generate(self, options, image, mask, depth):
        batch, latents = options["batchSize"], []

        def remember(_, __, ___, values):
            latents.append(values["latents"])
            return {}

        own = {
            "inpaint": lambda: {"mask_image": mask, "width": image.width, "height": image.height, "strength": options["strength"]},
            "edit": lambda: {"image_guidance_scale": options["imageCfgScale"]},
            "depth": lambda: {"depth_map": None if "estimated" in options else torch.from_numpy(np.array(depth)).float()[None],
                              "strength": options["strength"]},
        }[self.kind]()
        images = self.pipeline(options)(
            image=image, prompt_embeds=self.embed(options["prompt"]), negative_prompt_embeds=self.embed(options["negativePrompt"]),
            num_inference_steps=options["steps"], guidance_scale=options["cfgScale"], num_images_per_prompt=batch,
            callback_on_step_end=remember, output_type="np",
            generator=[torch.Generator().manual_seed(options["seed"] + i) for i in range(batch)], **own).images
        return latents[-1], images


def results(kind, image, mask, depth):
    oracle = Oracle(kind)
    for case in KINDS[kind][1]:
        options = DEFAULTS | case
        latent, images = oracle.generate(options, image, mask, depth)
        assert np.std(images) > 0.05 and latent.std() > 0.1
        print(f"{kind} {case}: latent {list(latent.shape)} deviation {latent.std():.2f}")
        yield {"options": options, "latent": base(latent.numpy().astype("float32")),
               "images": [base((generated * 255).round().astype("uint8")) for generated in images]}


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    image, mask = picture(48, 32), rectangle(48, 32, (8, 8, 32, 24))
    y, x = np.mgrid[0:32, 0:48]
    depth = Image.fromarray((127 + 100 * np.sin(x / 9) * np.cos(y / 7)).round().astype("uint8"))
    goldens = {"image": sized(image), "mask": sized(mask), "depthOfImage": sized(depth)}
    goldens |= {kind: list(results(kind, image, mask, depth)) for kind in KINDS}
    (HERE / "concat_conditioning.json").write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()
