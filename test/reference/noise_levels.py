"""Golden noise levels, and images generated on them, of diffusers' EulerDiscreteScheduler under other configurations than Stable
Diffusion's, for noise_levels.json.

usage: npm run build:ts && python test/reference/noise_levels.py      (transformers 5.24.0, diffusers 0.42.1, torch 2.15.0)

The checkpoint is that of networks.py. Of each table some entries are kept; the last of a zero terminal SNR is not, which every program
chooses for itself.
"""

import base64
import json

import diffusers
import torch
import transformers
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
from networks import HERE, TINY, Networks, checkpoint

SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
ZERO = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}

TABLES = [
    SD,
    {**SD, "rescale_betas_zero_snr": True},
    {**SD, "beta_end": 0.013},
    {**SD, "num_train_timesteps": 500},
    {"beta_schedule": "linear"},
    {"beta_schedule": "linear", "beta_start": 0.0015, "beta_end": 0.0155},
    {"beta_schedule": "squaredcos_cap_v2"},
    {"beta_schedule": "squaredcos_cap_v2", "rescale_betas_zero_snr": True},
    {"trained_betas": [0.001 + 0.0001 * i for i in range(100)], "num_train_timesteps": 100},
]
PICTURES = [
    {**SD, **ZERO, "timestep_spacing": "trailing"},
    {**SD, **ZERO, "timestep_spacing": "linspace"},
    {**SD, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    {"beta_schedule": "linear", "timestep_spacing": "linspace"},
    {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    {**SD, "use_karras_sigmas": True},
]
OPTIONS = {"prompt": "a red apple", "negativePrompt": "blurry", "width": 32, "height": 24, "steps": 5, "cfgScale": 3, "seed": 42}


def table(config):
    scheduler = EulerDiscreteScheduler(**config)
    alphas = scheduler.alphas_cumprod.double().tolist()
    last = len(alphas) - (2 if config.get("rescale_betas_zero_snr") else 1)
    kept = sorted({0, 1, len(alphas) // 4, len(alphas) // 2, last - 1, last})
    return {"scheduler": config, "alphas": {str(t): alphas[t] for t in kept}}


def picture(networks, tokenizer, config):
    def embed(prompt):
        tokens = tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        return networks.hidden_states(tokens, 1)

    pipeline = StableDiffusionPipeline(
        vae=networks.vae, text_encoder=networks.text, tokenizer=tokenizer, unet=networks.unet,
        scheduler=EulerDiscreteScheduler(**config), safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline(
        prompt_embeds=embed(OPTIONS["prompt"]), negative_prompt_embeds=embed(OPTIONS["negativePrompt"]), width=OPTIONS["width"],
        height=OPTIONS["height"], num_inference_steps=OPTIONS["steps"], guidance_scale=OPTIONS["cfgScale"],
        generator=torch.Generator().manual_seed(OPTIONS["seed"]), output_type="np").images[0]
    print(f"{config}: mean {image.mean():.3f}, deviation {image.std():.3f}")
    assert image.std() > 0.05  # a flat picture would prove nothing
    return {"scheduler": config, "image": base64.b64encode((image * 255).round().astype("uint8").tobytes()).decode()}


@torch.no_grad()
def main():
    from text import clip_tokenizer

    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    networks = Networks(checkpoint("{ vocabulary: 49408 }"), TINY)
    tokenizer = clip_tokenizer()
    goldens = {"tables": [table(config) for config in TABLES], "options": OPTIONS,
               "images": [picture(networks, tokenizer, config) for config in PICTURES]}
    (HERE / "noise_levels.json").write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()
