"""Golden latents of guided text to image, from diffusers.

usage: npm run build:ts && python test/reference/guidance.py     (diffusers 0.42.1, torch 2.15.0)

The networks are those of networks.py and the SDXL of families.py. Writes guidance.json beside this file: options, and as base64 of
float32 the latent that a pipeline ends with: StableDiffusionPipeline with guidance_rescale, StableDiffusionPAGPipeline and
StableDiffusionXLPAGPipeline (middle block), and StableDiffusionPipeline with a callback after each step that sets the guidance scale
to 1 outside of an interval or puts the embeddings of another text in place of those of the prompt.
"""

import base64
import json

import diffusers
import torch
import transformers
from diffusers import (
    EulerDiscreteScheduler, StableDiffusionPAGPipeline, StableDiffusionPipeline, StableDiffusionXLPAGPipeline)
from families import MODELS, Model
from networks import HERE, SCHEDULE, TINY, Networks, checkpoint
from text import clip_tokenizer

PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction"}
DEFAULTS = {"model": "tiny", "prompt": "a red apple", "negativePrompt": "blurry", "width": 48, "height": 32, "steps": 8,
            "cfgScale": 7, "seed": 42, "batchSize": 1, "prediction": "v"}
CASES = [
    {"cfgRescale": 0.7, "prediction": "epsilon"},
    {"cfgRescale": 1, "cfgScale": 9, "batchSize": 2},
    {"pagScale": 3},
    {"pagScale": 3, "cfgScale": 1},
    {"pagScale": 1.5, "cfgRescale": 0.5, "batchSize": 2},
    {"pagScale": 3, "model": "xl"},
    {"guidanceInterval": [0.25, 0.8]},
    {"guidanceInterval": [0, 0.5], "cfgRescale": 0.7},
    # What holds in each step: the step counter of AUTOMATIC1111 starts at 0, so that the first text holds for one more.
    {"prompt": "a [red:green plastic:3] apple", "texts": ["a red apple"] * 4 + ["a green plastic apple"] * 4},
    {"prompt": "[a red apple|two dogs|]", "steps": 6, "texts": ["a red apple"] * 2 + ["two dogs", "", "a red apple", "two dogs"]},
    {"negativePrompt": "[blurry:a man in a hat:0.5]", "negativeTexts": ["blurry"] * 5 + ["a man in a hat"] * 3},
]


class AlwaysGuided(StableDiffusionPipeline):
    """Evaluates the negative prompt also at a scale of 1."""

    do_classifier_free_guidance = True


class Oracle:
    def __init__(self):
        self.networks = Networks(checkpoint("{ vocabulary: 49408 }"), TINY)
        self.xl = Model("xl", MODELS["xl"], 49408)
        self.xl.to(torch.float32)
        self.tokenizer = clip_tokenizer()
        self.tokenizer.model_max_length = 77

    def embed(self, prompt):
        tokens = self.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        return self.networks.hidden_states(tokens, 1)

    def pipeline(self, options):
        scheduler = EulerDiscreteScheduler(
            **SCHEDULE, prediction_type=PREDICTIONS[options["prediction"]], timestep_spacing="linspace")
        if options["model"] == "xl":
            padded = clip_tokenizer()
            padded.model_max_length, padded.pad_token = 77, "!"
            return StableDiffusionXLPAGPipeline(
                vae=self.xl.vae, text_encoder=self.xl.encoders[0], text_encoder_2=self.xl.encoders[1], tokenizer=self.tokenizer,
                tokenizer_2=padded, unet=self.xl.unet, scheduler=scheduler, add_watermarker=False, pag_applied_layers="mid")
        kind, extra = (StableDiffusionPAGPipeline, {"pag_applied_layers": "mid"}) if "pagScale" in options else (AlwaysGuided, {})
        return kind(vae=self.networks.vae, text_encoder=self.networks.text, tokenizer=self.tokenizer, unet=self.networks.unet,
                    scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False, **extra)

    def generate(self, options):
        pipeline = self.pipeline(options)
        pipeline.set_progress_bar_config(disable=True)
        steps, batch = options["steps"], options["batchSize"]
        texts, negatives = (options.get(name, [options[own]] * steps)
                            for name, own in (("texts", "prompt"), ("negativeTexts", "negativePrompt")))
        start, end = (int(share * steps) for share in options.get("guidanceInterval", (0, 1)))
        scale_at = lambda step: options["cfgScale"] if start <= step < end else 1.0
        # Rescaling outside of the interval leaves the prediction as it is.
        arguments = {"num_inference_steps": steps, "guidance_scale": scale_at(0), "guidance_rescale": options.get("cfgRescale", 0.0),
                     "width": options["width"], "height": options["height"], "num_images_per_prompt": batch,
                     "generator": [torch.Generator().manual_seed(options["seed"] + i) for i in range(batch)],
                     "output_type": "latent"}
        if "pagScale" in options:
            arguments["pag_scale"] = options["pagScale"]
        if options["model"] == "xl":
            return pipeline(prompt=options["prompt"], negative_prompt=options["negativePrompt"], **arguments).images

        def change(pipeline, step, _, values):
            if "pagScale" in options or step + 1 == steps:
                return {}
            pipeline._guidance_scale = scale_at(step + 1)
            prompts = [self.embed(negatives[step + 1])] * batch + [self.embed(texts[step + 1])] * batch
            return {"prompt_embeds": torch.cat(prompts)}

        return pipeline(prompt_embeds=self.embed(texts[0]), negative_prompt_embeds=self.embed(negatives[0]),
                        callback_on_step_end=change, callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
                        **arguments).images


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    oracle, goldens = Oracle(), []
    for case in CASES:
        options = DEFAULTS | case
        latent = oracle.generate(options)
        own = {name: case[name] for name in ("prediction", "model", "steps") if name in case}
        plain = oracle.generate(DEFAULTS | own | ({"pagScale": 0.0} if "model" in own else {}))
        distance = (latent[:1] - plain).std() / latent.std()
        print(f"{case}: deviation {latent.std():.2f}, {distance:.3f} of it from plain guidance", flush=True)
        assert distance > 0.01  # what changes nothing would prove nothing
        values = base64.b64encode(latent.numpy().astype("float32").tobytes()).decode()
        goldens.append({name: value for name, value in options.items() if not name.lower().endswith("texts")} | {"latent": values})
    (HERE / "guidance.json").write_text(json.dumps(goldens, indent=1) + "\n")


if __name__ == "__main__":
    main()
