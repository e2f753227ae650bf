"""Golden latents of diffusers on the noise levels of a zero terminal SNR, for zero_terminal_snr.json.

usage: npm run build:ts && python test/reference/zero_terminal_snr.py      (transformers 5.24.0, diffusers 0.42.1, torch 2.15.0)

The checkpoint is that of networks.py, which predicts v here; prompts, size, scale and seed are those of the test.
"""

import json

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline
from networks import HERE, TINY, Networks, checkpoint
from text import clip_tokenizer

CONFIG = {
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000,
    "rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing",
}
SCHEDULERS = [
    ("euler", EulerDiscreteScheduler(**CONFIG)),
    ("ddim_trailing", DDIMScheduler(**CONFIG, clip_sample=False, set_alpha_to_one=True)),
]


def latents(networks, tokenizer):
    def embed(prompt):
        tokens = tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        return networks.hidden_states(tokens, 1)

    for sampler, scheduler in SCHEDULERS:
        pipeline = StableDiffusionPipeline(
            vae=networks.vae, text_encoder=networks.text, tokenizer=tokenizer, unet=networks.unet, scheduler=scheduler,
            safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        for rescale in (0.0, 0.7):
            for steps in (5, 20):
                latent = pipeline(
                    prompt_embeds=embed("a red apple"), negative_prompt_embeds=embed("blurry"), width=32, height=24,
                    num_inference_steps=steps, guidance_scale=3, guidance_rescale=rescale,
                    generator=torch.Generator().manual_seed(42), output_type="latent").images
                values = [float(f"{value:.7g}") for value in latent.flatten().tolist()]
                yield {"sampler": sampler, "cfgRescale": rescale, "steps": steps, "latent": values}


if __name__ == "__main__":
    with torch.no_grad():
        networks = Networks(checkpoint("{ vocabulary: 49408 }"), TINY)
        golden = {"scheduler": CONFIG, "latents": list(latents(networks, clip_tokenizer()))}
    (HERE / "zero_terminal_snr.json").write_text(json.dumps(golden, indent=1) + "\n")
