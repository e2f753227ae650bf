"""Golden numbers for image to image and inpainting, from diffusers and Pillow.

usage: npm run build:ts && python test/reference/img2img.py     (diffusers 0.42.1, torch 2.15.0, Pillow 12)

The networks are those of networks.py. Writes, beside this file, img2img.json: input pictures and masks, options, the latent that
diffusers' StableDiffusionImg2ImgPipeline and StableDiffusionInpaintPipeline end with, and their pictures; and a picture resized
by diffusers' VaeImageProcessor. Pixels are base64 of bytes, latents of float32.
"""

import base64
import json

import diffusers
import numpy as np
import torch
import transformers
from diffusers import (
    EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline)
from diffusers.image_processor import VaeImageProcessor
from networks import HERE, SCHEDULE, TINY, Networks, checkpoint
from PIL import Image
from text import clip_tokenizer

SCHEDULERS = {"euler": EulerDiscreteScheduler, "euler_a": EulerAncestralDiscreteScheduler}
PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction"}
DEFAULTS = {"prompt": "a red apple", "negativePrompt": "blurry", "steps": 8, "cfgScale": 5, "seed": 42, "batchSize": 1,
            "sampler": "euler", "prediction": "epsilon"}

IMG2IMG = [
    {"strength": 0.5},
    {"strength": 0.75, "batchSize": 2, "prediction": "v", "steps": 5},
    {"strength": 0.9, "sampler": "euler_a", "seed": 7},
    {"strength": 0},
    {"strength": 1, "steps": 5},
]
INPAINT = [
    {"strength": 0.6},
    {"strength": 1, "prediction": "v"},
    {"strength": 0.8, "sampler": "euler_a"},
    {"strength": 0.75, "paddingMaskCrop": 4, "width": 48, "height": 32},
]


def base(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def picture(width, height):
    """Waves and an edge, different in each channel."""
    y, x = np.mgrid[0:height, 0:width] / 8
    planes = [np.sin(x) * np.cos(y / 2), np.cos(x / 2 + y), np.where(x > y, 0.7, -0.6)]
    return Image.fromarray(((np.stack(planes, -1) + 1) * 127.5).round().astype("uint8"))


def rectangle(width, height, box):
    mask = np.zeros((height, width), "uint8")
    mask[box[1]:box[3], box[0]:box[2]] = 255
    return Image.fromarray(mask)


class Oracle:
    def __init__(self):
        self.networks = Networks(checkpoint("{ vocabulary: 49408 }"), TINY)
        self.tokenizer = clip_tokenizer()

    def embed(self, prompt):
        tokens = self.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        return self.networks.hidden_states(tokens, 1)

    def encoded(self, image, seed):
        """What a strength of 0 stands for, which the pipelines do not take: a sample of the VAE's latent."""
        planes = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
        latent = self.networks.vae.encode(planes).latent_dist.sample(torch.Generator().manual_seed(seed))
        decoded = self.networks.vae.decode(latent).sample
        return latent * 0.18215, ((decoded / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0)).numpy()[None]

    def generate(self, options, image, mask=None):
        if options["strength"] == 0:
            return self.encoded(image, options["seed"])
        scheduler = SCHEDULERS[options["sampler"]](
            **SCHEDULE, prediction_type=PREDICTIONS[options["prediction"]], timestep_spacing="linspace")
        pipeline = (StableDiffusionInpaintPipeline if mask else StableDiffusionImg2ImgPipeline)(
            vae=self.networks.vae, text_encoder=self.networks.text, tokenizer=self.tokenizer, unet=self.networks.unet,
            scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        batch, latents = options["batchSize"], []

        def remember(_, __, ___, values):
            latents.append(values["latents"])
            return {}

        arguments = {"image": image}
        if mask:
            arguments |= {"mask_image": mask, "width": options.get("width", image.width), "height": options.get("height", image.height),
                          "padding_mask_crop": options.get("paddingMaskCrop"), "output_type": "pil"}
        images = pipeline(
            prompt_embeds=self.embed(options["prompt"]), negative_prompt_embeds=self.embed(options["negativePrompt"]),
            num_inference_steps=options["steps"], guidance_scale=options["cfgScale"], strength=options["strength"],
            num_images_per_prompt=batch, callback_on_step_end=remember,
            generator=[torch.Generator().manual_seed(options["seed"] + i) for i in range(batch)],
            **({"output_type": "np"} | arguments)).images
        if mask:
            images = np.stack([np.asarray(generated) / 255 for generated in images])
        return latents[-1], images


def results(oracle, cases, image, mask=None):
    for case in cases:
        options = DEFAULTS | case
        latent, images = oracle.generate(options, image, mask)
        assert np.std(images) > 0.05 and latent.std() > 0.1
        print(f"{'inpaint' if mask else 'img2img'} {case}: latent {list(latent.shape)} deviation {latent.std():.2f}")
        yield {"options": options, "latent": base(latent.numpy().astype("float32")),
               "images": [base((generated * 255).round().astype("uint8")) for generated in images]}


def resized(image, width, height):
    for mode, theirs in (("stretch", "default"), ("fill", "crop"), ("fit", "fill")):
        result = VaeImageProcessor(vae_scale_factor=8).resize(image, height, width, theirs)
        yield {"mode": mode, "width": width, "height": height, "image": base(np.asarray(result))}


def sized(image):
    return {"width": image.width, "height": image.height, "data": base(np.asarray(image))}


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    oracle = Oracle()
    image, mask = picture(48, 32), rectangle(48, 32, (8, 8, 32, 24))
    large, small_mask = picture(60, 45), rectangle(60, 45, (20, 12, 36, 20))
    goldens = {
        "image": sized(image), "mask": sized(mask), "largeImage": sized(large), "smallMask": sized(small_mask),
        "img2img": list(results(oracle, IMG2IMG, image)),
        "inpaint": list(results(oracle, INPAINT[:-1], image, mask)),
        "inpaintRegion": list(results(oracle, INPAINT[-1:], large, small_mask)),
        "resized": [*resized(large, 24, 32), *resized(image, 64, 24)],
    }
    (HERE / "img2img.json").write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()
