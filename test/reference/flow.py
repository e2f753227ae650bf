"""Golden noise levels and trajectories of flow matching, in float64, for flow.json.

K_DIFFUSION=<folder that holds the package k_diffusion> python test/reference/flow.py > test/reference/flow.json
(k-diffusion 0.1.1.post1, diffusers 0.42.1, torch 2.15.0)

- "sigmas": FlowMatchEulerDiscreteScheduler of diffusers over linspace(1, 1 / steps, steps), as its pipelines for flow models set it.
- "steps": latents after each step. The denoiser is the exact one of a mixture of N(-1, 1/4) and N(1, 1/4) at x = (1 - s) x0 + s noise; the
  wave of samplers.py stands for recorded noise. Deterministic samplers are k-diffusion's own, and Euler, Heun and SDE-DPM-Solver++(2M)
  are diffusers' own too. k-diffusion's ancestral and consistency samplers add noise without shrinking the image, so those of flow models
  follow from the definitions: `ancestral` below goes down to `down` and then to x = a (x - n) + fresh noise of the variance that is left.
"""

import json
import math

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler

import samplers
from samplers import LENGTH, Noise, case, load_k_diffusion, start

SIGMAS = [[1.0, 0.9, 0.75, 0.5, 0.3, 0.125, 0.03, 0.0], [1.0, 0.0], [0.8, 0.4, 0.0]]
NEARLY_NOISE = 0.9999


def denoise(x, sigma, **_):
    s = torch.as_tensor(sigma, dtype=torch.float64).reshape(-1, *[1] * (x.ndim - 1))
    a = 1 - s
    variance = 0.25 * a**2 + s**2
    return (0.25 * a * x + s**2 * torch.tanh(a * x / variance)) / variance


def levels():
    for shift in (1.0, 3.0, math.exp(1.15)):
        for steps in (1, 4, 20, 28):
            dynamic = shift not in (1.0, 3.0)
            options = {"use_dynamic_shifting": True} if dynamic else {"shift": shift}
            scheduler = FlowMatchEulerDiscreteScheduler(**options)
            given = np.linspace(1.0, 1 / steps, steps)
            scheduler.set_timesteps(sigmas=given, **({"mu": math.log(shift)} if dynamic else {}))
            yield {
                "shift": shift,
                "steps": steps,
                "sigmas": [float(s) for s in scheduler.sigmas],
                "timesteps": [float(t) for t in scheduler.timesteps],
            }


def k_diffusion_cases():
    sampling = load_k_diffusion()
    methods = [
        ("euler", "sample_euler"),
        ("heun", "sample_heun"),
        ("dpm2", "sample_dpm_2"),
        ("dpm++2m", "sample_dpmpp_2m"),
        ("lms", "sample_lms"),
    ]
    for name, function in methods:
        for sigmas in SIGMAS:
            latents = []
            result = getattr(sampling, function)(
                denoise,
                start(sigmas[0]),
                torch.tensor(sigmas, dtype=torch.float64),
                disable=True,
                callback=lambda state: latents.append(state["x"]),
            )
            yield case(name, None, sigmas, 0, [*latents[1:], result])


def diffusers_cases():
    for steps, shift in ((6, 1.0), (5, 3.0)):
        scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps))
        sigmas = [float(s) for s in scheduler.sigmas]
        yield run("euler", scheduler, sigmas)
        # FlowMatchHeun has its levels and steps in pairs; its second evaluation is at the next level.
        scheduler = FlowMatchHeunDiscreteScheduler(shift=shift)
        scheduler.set_timesteps(steps)
        x, latents = None, []
        sigmas = [float(s) for s in scheduler.sigmas]
        levels_of = [sigmas[0], *sigmas[1::2]]
        x = start(sigmas[0])
        for i, t in enumerate(scheduler.timesteps):
            level = sigmas[i]
            x = scheduler.step((x - denoise(x, level)) / level, t, x, return_dict=False)[0].double()
            if i % 2 == 1 or i == len(scheduler.timesteps) - 1:
                latents.append(x)
        yield case("heun", None, levels_of, 0, latents)
        scheduler = DPMSolverMultistepScheduler(
            algorithm_type="sde-dpmsolver++", prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift,
            final_sigmas_type="zero", lower_order_final=False, euler_at_final=False,
        )
        scheduler.set_timesteps(steps)
        sigmas = [float(s) for s in scheduler.sigmas]
        yield run("dpm++2m_sde", scheduler, sigmas, eta=1.0, noisy=True)


def run(name, scheduler, sigmas, eta=None, noisy=False):
    noise, latents = Noise(), []
    x = start(sigmas[0])
    for t, level, following in zip(scheduler.timesteps, sigmas, sigmas[1:]):
        options = {}
        if noisy:
            options["variance_noise"] = noise() if following > 0 else torch.zeros_like(x)
        x = scheduler.step((x - denoise(x, level)) / level, t, x, return_dict=False, **options)[0].double()
        latents.append(x)
    return case(name, eta, sigmas, noise.draws, latents)


def log_snr(sigma):
    return math.log((1 - sigma) / sigma)


def derived_cases():
    for sigmas in SIGMAS:
        for eta in (1.0, 0.5):
            yield derived("euler_a", eta, sigmas, lambda x, s, down: denoise(x, s))
            yield derived("dpm++2s_a", eta, sigmas, second_stage)
        yield consistency(sigmas)
        for eta in (1.0, 0.5):
            yield sde(eta, sigmas)


def second_stage(x, sigma, down):
    """The denoised latent at the level whose log SNR is the mean of both ends, on the line towards the first denoised latent."""
    first = denoise(x, sigma)
    if down == 0:
        return first
    middle = NEARLY_NOISE if sigma == 1 else 1 / (1 + math.exp((log_snr(sigma) + log_snr(down)) / 2))
    return denoise(first + middle / sigma * (x - first), middle)


def derived(name, eta, sigmas, target):
    """Down to `down` along x0 and noise as seen; then x is shrunk until the image has its share at the next level, and filled up."""
    noise, latents = Noise(), []
    x = start(sigmas[0])
    for sigma, following in zip(sigmas, sigmas[1:]):
        down = following * (1 + eta * (following / sigma - 1))
        image = target(x, sigma, down)
        x = image + down / sigma * (x - image)
        if following > 0:
            share = (1 - following) / (1 - down)
            x = share * x + math.sqrt(following**2 - (share * down) ** 2) * noise()
        latents.append(x)
    return case(name, eta, sigmas, noise.draws, latents)


def consistency(sigmas):
    noise, latents = Noise(), []
    x = start(sigmas[0])
    for sigma, following in zip(sigmas, sigmas[1:]):
        x = denoise(x, sigma)
        if following > 0:
            x = (1 - following) * x + following * noise()
        latents.append(x)
    return case("lcm", None, sigmas, noise.draws, latents)


def sde(eta, sigmas):
    """SDE-DPM-Solver++(2M) by its definition with lambda = log(alpha / sigma), where pure noise stands for 0.9999 of it."""
    noise, latents = Noise(), []
    given = sigmas
    sigmas = [min(sigmas[0], NEARLY_NOISE), *sigmas[1:]]
    x = start(given[0])
    last = None
    for sigma, following in zip(sigmas, sigmas[1:]):
        image = denoise(x, sigma)
        if following == 0:
            x = image
        else:
            h = log_snr(following) - log_snr(sigma)
            decay = 1 - math.exp(-(1 + eta) * h)
            slope = 0 if last is None else (image - last[0]) / last[1]
            x = following / sigma * math.exp(-eta * h) * x + (1 - following) * decay * (image + 0.5 * h * slope)
            x = x + following * math.sqrt(1 - math.exp(-2 * eta * h)) * noise()
            last = (image, h)
        latents.append(x)
    return case("dpm++2m_sde", eta, given, noise.draws, latents)


if __name__ == "__main__":
    assert samplers.LENGTH == LENGTH
    golden = {
        "sigmas": list(levels()),
        "k-diffusion": list(k_diffusion_cases()),
        "diffusers": list(diffusers_cases()),
        "definition": list(derived_cases()),
    }
    print(json.dumps(golden).replace('}, {"', '},\n{"'))
