"""Golden denoised latents of diffusers' DDIMScheduler for both prediction types, for prediction.json.

python test/reference/prediction.py > test/reference/prediction.json          (diffusers 0.42.1, float64)
"""

import json
import math

import torch
from diffusers import DDIMScheduler

if __name__ == "__main__":
    cases = []
    for name, prediction in (("epsilon", "epsilon"), ("v", "v_prediction")):
        scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
                                  prediction_type=prediction)
        root = torch.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000, dtype=torch.float64)
        scheduler.alphas_cumprod = torch.cumprod(1 - root**2, 0)
        scheduler.set_timesteps(1000)
        for timestep in (0, 250, 999):
            generator = torch.Generator().manual_seed(timestep)
            latent, predicted = torch.randn(2, 6, generator=generator, dtype=torch.float64)
            denoised = scheduler.step(predicted, timestep, latent).pred_original_sample
            cases.append({
                "prediction": name,
                "timestep": timestep,
                "alphaCumprod": float(scheduler.alphas_cumprod[timestep]),
                "latent": [round(v, 9) for v in latent.tolist()],
                "predicted": [round(v, 9) for v in predicted.tolist()],
                "denoised": [round(v, 9) for v in denoised.tolist()],
            })
    print(json.dumps(cases).replace('}, {"', '},\n{"'))
