"""The noise schedule of Stable Diffusion 1.x, its training loss and an Euler sampler with classifier-free guidance."""

import torch

STEPS, FIRST_BETA, LAST_BETA = 1000, 0.00085, 0.012
SCALE_FACTOR = 0.18215


def alphas_cumulative():
    """Share of signal in the variance at each timestep: betas rise linearly in their square root."""
    betas = torch.linspace(FIRST_BETA ** 0.5, LAST_BETA ** 0.5, STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def noise_loss(unet, latents, context, alphas, least=1.0, most=5.0):
    """Squared error of the predicted noise, weighted as an error of the picture by the SNR kept in `least`..`most`.

    The upper bound is that of Hang et al. 2023, the lower one the truncated SNR of Salimans and Ho 2022. Timesteps are drawn
    with a density that grows with them. Without both the noisiest steps, where the words decide what and in which colour,
    hardly count.
    """
    timesteps = (STEPS * torch.rand(len(latents), device=latents.device).sqrt()).long()
    alpha = alphas[timesteps][:, None, None, None]
    noise = torch.randn_like(latents)
    predicted = unet(alpha.sqrt() * latents + (1 - alpha).sqrt() * noise, timesteps, context)
    snr = alpha / (1 - alpha)
    return ((predicted - noise).square() * snr.clamp(least, most) / snr).mean()


@torch.no_grad()
def sample(unet, context, empty, shape, steps=20, guidance=3.0, seed=0):
    """Latents (times the scale factor) for `context` [batch, 77, width], by Euler steps over linearly spaced timesteps."""
    alphas = alphas_cumulative()
    all_sigmas = ((1 - alphas) / alphas).sqrt()
    times = torch.linspace(STEPS - 1, 0, steps).long()
    sigmas = torch.cat([all_sigmas[times], torch.zeros(1)]).tolist()
    batch = len(context)
    both = torch.cat([context, empty.expand(batch, -1, -1)])
    x = torch.randn((batch, *shape), generator=torch.Generator().manual_seed(seed)) * (sigmas[0] ** 2 + 1) ** 0.5
    for time, sigma, following in zip(times.tolist(), sigmas, sigmas[1:]):
        scaled = (x / (sigma ** 2 + 1) ** 0.5).repeat(2, 1, 1, 1)
        conditional, unconditional = unet(scaled, torch.full((2 * batch,), time), both).chunk(2)
        x = x + (following - sigma) * (unconditional + guidance * (conditional - unconditional))
    return x
