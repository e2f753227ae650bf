"""Golden numbers for image to image and inpainting by the rules of AUTOMATIC1111's web UI (and of stable-diffusion.cpp).

usage: npm run build:ts && python test/reference/webui.py     (diffusers 0.42.1, torch 2.15.0, k-diffusion 0.1.1)

The rules, written out here over the networks of networks.py and k-diffusion's samplers:

- the latent starts as the picture's, plus the seed's first noise at the noise level of the first step that is taken;
- of n steps the last floor(n * strength) + 1 are taken, at most n;
- where a mask leaves the picture, every denoised latent is replaced by the picture's, and so is the result;
- models for inpainting keep what is further than a cell from the mask (stable-diffusion.cpp), and see mask and masked picture;
- the VAE's samples are the first draws of generators of their own with the same seed (stable-diffusion.cpp).

Writes webui.json beside this file, with pictures as in img2img.json.
"""

import json

import concat_conditioning
import img2img
import k_diffusion.sampling
import numpy as np
import torch
from img2img import DEFAULTS, HERE, base, picture, rectangle, sized
from networks import SCHEDULE

IMG2IMG = [
    {"strength": 0.3},
    {"strength": 0.6, "sampler": "euler_a", "seed": 7},
    {"strength": 0.75, "prediction": "v", "batchSize": 2, "sampler": "dpm++2m"},
    {"strength": 1, "steps": 5},
]
INPAINT = [
    {"strength": 0.3, "sampler": "dpm++2m"},
    {"strength": 0.6},
    {"strength": 0.75, "sampler": "euler_a", "batchSize": 2},
    {"strength": 1, "prediction": "v"},
]
BESIDE = [
    {"strength": 0.6},
    {"strength": 1, "sampler": "euler_a"},
]
SAMPLERS = {"euler": k_diffusion.sampling.sample_euler, "euler_a": k_diffusion.sampling.sample_euler_ancestral,
            "dpm++2m": k_diffusion.sampling.sample_dpmpp_2m}


class Noise:
    """torch's CPU generators of the images of a batch."""

    def __init__(self, seed, batch):
        self.generators = [torch.Generator().manual_seed(seed + i) for i in range(batch)]

    def next(self, shape):
        return torch.stack([torch.randn(shape, generator=generator) for generator in self.generators])


class Denoiser:
    """The guided network as k-diffusion's samplers call it, with what a mask keeps."""

    def __init__(self, networks, options, beside, kept):
        self.networks, self.options, self.beside, self.kept = networks, options, beside, kept
        betas = torch.linspace(SCHEDULE["beta_start"] ** 0.5, SCHEDULE["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2
        alphas = torch.cumprod(1 - betas, 0)
        self.sigmas = ((1 - alphas) / alphas) ** 0.5
        self.contexts = [networks.embed(options[name]) for name in ("negativePrompt", "prompt")]

    def levels(self, steps):
        """`discrete`: equal steps in time, linear in the logarithm between the levels of two times."""
        times = torch.linspace(999, 0, steps, dtype=torch.float64)
        low = times.floor().long()
        logs, part = self.sigmas.log(), times - low
        high = (low + 1).clamp(max=999)
        return torch.cat([((1 - part) * logs[low] + part * logs[high]).exp(), torch.zeros(1, dtype=torch.float64)]).float()

    def time(self, sigma):
        """The time of a level, linear in the logarithm between two."""
        logs = self.sigmas.log()
        log = sigma.double().log()
        low = (log >= logs).sum().clamp(1, 999) - 1
        return (low + ((log - logs[low]) / (logs[low + 1] - logs[low])).clamp(0, 1)).float()

    def __call__(self, x, sigma, **_):
        sigma = sigma[0]
        scaled = x / (sigma ** 2 + 1) ** 0.5
        seen = scaled if self.beside is None else torch.cat([scaled, self.beside], 1)
        time = self.time(sigma)
        without, with_prompt = (
            self.networks.unet(seen, time, encoder_hidden_states=context.expand(len(x), -1, -1)).sample for context in self.contexts)
        output = without + self.options["cfgScale"] * (with_prompt - without)
        if self.options["prediction"] == "v":
            denoised = x / (sigma ** 2 + 1) - output * sigma / (sigma ** 2 + 1) ** 0.5
        else:
            denoised = x - sigma * output
        return self.keep(denoised)

    def keep(self, latent):
        if self.kept is None:
            return latent
        picture, masked = self.kept
        return latent * masked + picture * (1 - masked)


class WebUi:
    """@param networks: what has `unet` and `vae`; `embed` gives the hidden states of a prompt."""

    def __init__(self, networks, embed):
        self.unet, self.vae, self.embed = networks.unet, networks.vae, embed

    def sample(self, planes, noise):
        """A sample of the latent of `planes`, -1..1, for each generator."""
        posterior = self.vae.encode(planes[None]).latent_dist
        return (posterior.mean + posterior.std * noise.next(posterior.mean.shape[1:])) * 0.18215

    def generate(self, options, image, mask=None, beside=False):
        planes = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1
        batch, steps = options["batchSize"], options["steps"]
        for_pictures = Noise(options["seed"], batch)
        picture = self.sample(planes, for_pictures)
        kept = seen = None
        if mask is not None:
            pixels = torch.from_numpy(np.array(mask)).float()[None, None] / 255
            cells = torch.nn.functional.max_pool2d(pixels, image.height // picture.shape[-2])
            kept = picture, torch.nn.functional.max_pool2d(cells, 3, 1, 1) if beside else cells
            if beside:
                masked = self.sample(planes * (1 - pixels[0]), for_pictures)
                seen = torch.cat([cells.expand(batch, -1, -1, -1), masked], 1)
        noise = Noise(options["seed"], batch)
        denoiser = Denoiser(self, options, seen, kept)
        taken = min(int(steps * options["strength"]) + 1, steps)
        sigmas = denoiser.levels(steps)[steps - taken:]
        start = picture + sigmas[0] * noise.next(picture.shape[1:])
        extra = {"noise_sampler": lambda *_: noise.next(picture.shape[1:])} if options["sampler"] == "euler_a" else {}
        latent = denoiser.keep(SAMPLERS[options["sampler"]](denoiser, start, sigmas, disable=True, **extra))
        images = (self.vae.decode(latent / 0.18215).sample / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
        return latent, images


def results(oracle, cases, *given, **how):
    for case in cases:
        options = DEFAULTS | case
        latent, images = oracle.generate(options, *given, **how)
        assert np.std(images) > 0.05 and latent.std() > 0.1
        print(f"{case}: latent {list(latent.shape)} deviation {latent.std():.2f}")
        yield {"options": options, "latent": base(latent.numpy().astype("float32")),
               "images": [base((generated * 255).round().astype("uint8")) for generated in images]}


@torch.no_grad()
def main():
    image, mask = picture(48, 32), rectangle(48, 32, (8, 8, 32, 24))
    plain, inpainting = img2img.Oracle(), concat_conditioning.Oracle("inpaint")
    ordinary, beside = WebUi(plain.networks, plain.embed), WebUi(inpainting.model, inpainting.embed)
    goldens = {
        "image": sized(image), "mask": sized(mask),
        "img2img": list(results(ordinary, IMG2IMG, image)),
        "inpaint": list(results(ordinary, INPAINT, image, mask)),
        "beside": list(results(beside, BESIDE, image, mask, beside=True)),
    }
    (HERE / "webui.json").write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()
