"""Golden trajectories of k-diffusion's samplers and diffusers' schedulers in float64, for samplers.json.

K_DIFFUSION=<checkout of crowsonkb/k-diffusion> python test/reference/samplers.py > test/reference/samplers.json
(k-diffusion 4601bf0, diffusers 0.42.1, torch 2.15.0)

The denoiser is the exact one of a mixture of N(-1, 1/4) and N(1, 1/4); a wave stands for recorded noise. "steps"
holds the latent after each step. The schedulers of diffusers keep latents scaled by sqrt(alpha), which is undone here.
"""

import json
import math
import os
import sys
import types

import torch
from diffusers import DDIMScheduler, LCMScheduler, TCDScheduler

LENGTH = 8
SIGMAS = [[14.5, 7.25, 3.5, 1.75, 0.875, 0.375, 0.125, 0.0], [14.5, 0.0], [6.0, 0.5, 0.0]]


def load_k_diffusion():
    """Imports sampling.py without the rest of the package and without torchdiffeq: these samplers need neither."""
    sys.modules.setdefault("torchdiffeq", types.SimpleNamespace(odeint=None))
    package = types.ModuleType("k_diffusion")
    package.__path__ = [os.path.join(os.environ["K_DIFFUSION"], "k_diffusion")]
    package.utils = types.SimpleNamespace(append_dims=lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)])
    sys.modules["k_diffusion"] = package
    sys.modules["k_diffusion.utils"] = package.utils
    import k_diffusion.sampling

    return k_diffusion.sampling


def wave(first, length=LENGTH):
    values = [1.5 * math.sin(1 + 7 * (first + j)) for j in range(length)]
    return torch.tensor([values], dtype=torch.float32).double()


def denoise(x, sigma, **_):
    noise = torch.as_tensor(sigma, dtype=torch.float64).reshape(-1, *[1] * (x.ndim - 1)) ** 2
    return (0.25 * x + noise * torch.tanh(x / (0.25 + noise))) / (0.25 + noise)


class Noise:
    def __init__(self):
        self.draws = 0

    def __call__(self, *_):
        self.draws += 1
        return wave((self.draws - 1) * LENGTH)


def start(sigma):
    return (sigma * wave(1000)).float().double()


def k_diffusion_cases():
    sampling = load_k_diffusion()
    methods = [
        ("euler", "sample_euler", None),
        ("euler_a", "sample_euler_ancestral", 1.0),
        ("euler_a", "sample_euler_ancestral", 0.5),
        ("heun", "sample_heun", None),
        ("dpm2", "sample_dpm_2", None),
        ("dpm++2s_a", "sample_dpmpp_2s_ancestral", 1.0),
        ("dpm++2s_a", "sample_dpmpp_2s_ancestral", 0.5),
        ("dpm++2m", "sample_dpmpp_2m", None),
        ("dpm++2m_sde", "sample_dpmpp_2m_sde", 1.0),
        ("dpm++2m_sde", "sample_dpmpp_2m_sde", 0.5),
        ("lms", "sample_lms", None),
    ]
    for name, function, eta in methods:
        for sigmas in SIGMAS:
            if function == "sample_dpmpp_2m_sde" and len(sigmas) == 2:
                continue  # fails there: a lone step to 0 leaves its h unset
            noise, latents = Noise(), []
            options = {} if eta is None else {"eta": eta, "noise_sampler": noise}
            result = getattr(sampling, function)(
                denoise,
                start(sigmas[0]),
                torch.tensor(sigmas, dtype=torch.float64),
                disable=True,
                callback=lambda state: latents.append(state["x"]),
                **options,
            )
            yield case(name, eta, sigmas, noise.draws, [*latents[1:], result])


def diffusers_cases():
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
    runs = [
        ("ddim_trailing", DDIMScheduler(**betas, timestep_spacing="trailing"), 0.0, 8),
        ("ddim_trailing", DDIMScheduler(**betas, timestep_spacing="trailing"), 1.0, 8),
        ("tcd", TCDScheduler(**betas), 0.0, 4),
        ("tcd", TCDScheduler(**betas), 0.3, 4),
        ("lcm", LCMScheduler(**betas), None, 4),
    ]
    for name, scheduler, eta, steps in runs:
        # Set before the timesteps: alphas in float64, as lib/schedule has them.
        root = torch.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000, dtype=torch.float64)
        scheduler.alphas_cumprod = torch.cumprod(1 - root**2, 0)
        scheduler.set_timesteps(steps)
        level = lambda t: math.sqrt((1 - scheduler.alphas_cumprod[t]) / scheduler.alphas_cumprod[t])
        sigmas = [level(int(t)) for t in scheduler.timesteps] + [0.0]
        noise, latents = Noise(), []
        patch_noise(name, noise)
        x = start(sigmas[0])
        for t, sigma, following in zip(scheduler.timesteps, sigmas, sigmas[1:]):
            scaled = x / math.sqrt(1 + sigma**2)
            eps = (x - denoise(x, sigma)) / sigma
            options = {"eta": eta} if eta is not None else {}
            if name == "ddim_trailing" and eta > 0:
                options["variance_noise"] = noise() if following > 0 else torch.zeros_like(x)
            x = scheduler.step(eps, t, scaled, **options).prev_sample * math.sqrt(1 + following**2)
            latents.append(x)
        yield case(name, eta, sigmas, noise.draws, latents)


def patch_noise(name, noise):
    module = {"tcd": "diffusers.schedulers.scheduling_tcd", "lcm": "diffusers.schedulers.scheduling_lcm"}.get(name)
    if module:
        sys.modules[module].randn_tensor = lambda *_, **__: noise()


def case(name, eta, sigmas, draws, latents):
    rounded = [[float(f"{v:.9g}") for v in latent.flatten().tolist()] for latent in latents]
    return {"sampler": name, "eta": eta, "sigmas": sigmas, "draws": draws, "steps": rounded}


if __name__ == "__main__":
    golden = {"k-diffusion": list(k_diffusion_cases()), "diffusers": list(diffusers_cases())}
    print(json.dumps(golden).replace('}, {"', '},\n{"'))
