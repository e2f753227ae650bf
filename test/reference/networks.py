"""Golden numbers for the networks and for whole pictures, from transformers and diffusers.

usage: npm run build:ts && python test/reference/networks.py     (transformers 5.23.0, diffusers 0.42.1, torch 2.15.0)

The checkpoints are those that the tests write (test/support/tiny-model.ts); a node process writes them here too. diffusers'
own converters give their tensors its names. Writes, beside this file,

- networks.safetensors: inputs and outputs of each network in float32. Every output is compared with the same computation in
  float64 first, so that the goldens are known to be good to 1e-5.
- networks.json: the names that diffusers and transformers give to the tensors of the tiny checkpoint.
- images.json: options of text-to-image calls, and the pictures of diffusers' own pipeline as base64 of RGB bytes.
"""

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
TINY_MODEL = (HERE / "../../dist/test/support/tiny-model.js").resolve().as_uri()
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
SCHEDULE = {"steps_offset": 1, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}

TINY = {
    "unet": {"block_out_channels": [32, 64], "attention": [True, False], "layers_per_block": 2},
    "vae": {"block_out_channels": [32, 32, 64, 64], "layers_per_block": 2},
    "text": {"hidden_size": 64, "num_hidden_layers": 2},
}
DEEP = {
    "unet": {"block_out_channels": [32, 64, 64], "attention": [True, True, False], "layers_per_block": 1},
    "vae": {"block_out_channels": [32, 64], "layers_per_block": 1},
    "text": {"hidden_size": 128, "num_hidden_layers": 3},
}


def checkpoint(options, writer="model"):
    """The file that tinyModel(options) writes, or tinyControlNet(options). `options` is JavaScript."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "checkpoint.safetensors")
        script = f"""import {{ copyFileSync }} from 'node:fs';
            import * as models from {json.dumps(TINY_MODEL)};
            import * as controlNets from {json.dumps(TINY_MODEL.replace("tiny-model", "tiny-control-net"))};
            import * as architectures from {json.dumps(TINY_MODEL.replace("tiny-model", "tiny-architectures"))};
            const path = {"models.tinyModel" if writer == "model" else "controlNets.tinyControlNet"}({options});
            copyFileSync(path.path ?? path, {json.dumps(str(path))});"""
        subprocess.run(["node", "--input-type=module", "-e", script], check=True)
        return load_file(path)


class Networks:
    """The three networks of a checkpoint."""

    def __init__(self, tensors, sizes):
        width = sizes["text"]["hidden_size"]
        self.text = CLIPTextModel(CLIPTextConfig(
            **sizes["text"], intermediate_size=4 * width, num_attention_heads=width // 64, hidden_act="quick_gelu",
            vocab_size=len(tensors[TEXT + "embeddings.token_embedding.weight"]), max_position_embeddings=77,
            attn_implementation="eager"))
        # transformers 5 dropped the `text_model.` that all checkpoints have.
        text = {name.removeprefix(TEXT): value for name, value in tensors.items() if name.startswith(TEXT)}
        self.text.load_state_dict(text, strict=True)

        unet = dict(sizes["unet"])
        down = ["CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in unet.pop("attention")]
        unet |= {"down_block_types": down, "up_block_types": [name.replace("Down", "Up") for name in reversed(down)],
                 "cross_attention_dim": width, "attention_head_dim": 8, "sample_size": 8}
        self.unet = UNet2DConditionModel(**unet)
        self.unet.load_state_dict(convert_ldm_unet_checkpoint(dict(tensors), dict(self.unet.config)), strict=True)

        levels = len(sizes["vae"]["block_out_channels"])
        self.vae = AutoencoderKL(**sizes["vae"], latent_channels=4, down_block_types=["DownEncoderBlock2D"] * levels,
                                 up_block_types=["UpDecoderBlock2D"] * levels)
        self.vae.load_state_dict(convert_ldm_vae_checkpoint(dict(tensors), dict(self.vae.config)), strict=True)
        self.to(torch.float32)

    def to(self, dtype):
        self.dtype = dtype
        for network in (self.text, self.unet, self.vae):
            network.eval().to(dtype)

    def names(self, tensors):
        """Original names to those of diffusers, by component. Tensors are matched by what they hold, which is random."""
        result = {}
        for component, prefix in (("unet", UNET), ("vae", VAE), ("text_encoder", TEXT)):
            originals = {value.numpy().tobytes(): name for name, value in tensors.items() if name.startswith(prefix)}
            network = {"unet": self.unet, "vae": self.vae, "text_encoder": self.text}[component]
            result[component] = {originals[value.numpy().tobytes()]: name for name, value in network.state_dict().items()}
            assert len(result[component]) == len(originals)
        return result

    def hidden_states(self, tokens, clip_skip):
        output = self.text(input_ids=tokens.long(), output_hidden_states=True)
        return self.text.final_layer_norm(output.hidden_states[-clip_skip])

    def predict(self, latent, timesteps, context):
        return self.unet(latent.to(self.dtype), timesteps, encoder_hidden_states=context.to(self.dtype)).sample

    def decode(self, latent):
        return self.vae.decode(latent.to(self.dtype)).sample

    def encode(self, image):
        return self.vae.encode(image.to(self.dtype)).latent_dist.parameters


class Goldens(dict):
    """Results in float32, each after a look at the same in float64."""

    def __init__(self):
        self.random = torch.Generator().manual_seed(7)

    def normal(self, name, *shape, scale=1.0):
        self[name] = torch.randn(shape, generator=self.random) * scale
        return self[name]

    def tokens(self, name, chunks, vocabulary):
        self[name] = torch.randint(0, vocabulary, (chunks, 77), generator=self.random, dtype=torch.int32)
        return self[name]

    def compute(self, name, networks, function):
        networks.to(torch.float64)
        exact = function()
        networks.to(torch.float32)
        self[name] = function().contiguous()
        error = ((self[name] - exact).abs().max() / exact.abs().max()).item()
        print(f"{name:22} {str(list(self[name].shape)):20} largest {exact.abs().max():6.3f}  float32 against float64 {error:.1e}")
        assert error < 1e-5
        return self[name]


def tiny_goldens(g, n):
    tokens = g.tokens("tiny.tokens", 2, 1000)
    for skip in (1, 2):
        g.compute(f"tiny.hidden.skip{skip}", n, lambda: n.hidden_states(tokens, skip))
    hidden = g["tiny.hidden.skip1"]

    def predict(name, shape, timesteps, context, scale=1.0):
        latent = g.normal(f"tiny.{name}.latent", *shape, scale=scale)
        t = g[f"tiny.{name}.timesteps"] = torch.tensor(timesteps)
        g.compute(f"tiny.{name}.prediction", n, lambda: n.predict(latent, t, context))

    predict("square", (2, 4, 8, 8), [981.25, 1.0], hidden)
    predict("long", (1, 4, 6, 10), [500.0], hidden.reshape(1, 154, 64))  # two chunks side by side
    predict("odd", (2, 4, 5, 7), [0.5, 999.0], hidden)
    predict("least", (1, 4, 3, 1), [12.0], hidden[:1])
    predict("faint", (1, 4, 4, 4), [3.0], hidden[:1], scale=0.01)  # so small that the epsilons of norms count
    latent = g.normal("tiny.vae.latent", 2, 4, 3, 2)
    image = g.compute("tiny.vae.image", n, lambda: n.decode(latent))
    g.compute("tiny.vae.moments", n, lambda: n.encode(image))
    faint = g.normal("tiny.faint.image", 1, 3, 16, 8, scale=0.003)
    g.compute("tiny.faint.moments", n, lambda: n.encode(faint))


def deep_goldens(g, n):
    tokens = g.tokens("deep.tokens", 1, 1000)
    hidden = g.compute("deep.hidden.skip1", n, lambda: n.hidden_states(tokens, 1))
    latent = g.normal("deep.odd.latent", 1, 4, 7, 5)  # 7x5, 4x3, 2x2 and back
    t = g["deep.odd.timesteps"] = torch.tensor([333.3])
    g.compute("deep.odd.prediction", n, lambda: n.predict(latent, t, hidden))
    latent = g.normal("deep.vae.latent", 1, 4, 5, 3)
    image = g.compute("deep.vae.image", n, lambda: n.decode(latent))
    g.compute("deep.vae.moments", n, lambda: n.encode(image))


PICTURES = [
    {"prompt": "a red apple", "negativePrompt": "blurry, low quality", "width": 48, "height": 32, "steps": 4, "cfgScale": 7,
     "seed": 42, "batchSize": 1, "clipSkip": 1, "prediction": "epsilon"},
    {"prompt": "naïve café in the rain, oil on canvas", "negativePrompt": "", "width": 40, "height": 24, "steps": 10, "cfgScale": 2.5,
     "seed": 7, "batchSize": 2, "clipSkip": 2, "prediction": "v"},
]


def pictures(networks):
    """What diffusers' pipeline generates with the noise of torch's CPU generator and Euler's method."""
    from text import clip_tokenizer

    tokenizer = clip_tokenizer()

    def embed(prompt, clip_skip):
        tokens = tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
        return networks.hidden_states(tokens, clip_skip)

    for options in PICTURES:
        prediction = {"epsilon": "epsilon", "v": "v_prediction"}[options["prediction"]]
        scheduler = EulerDiscreteScheduler(**SCHEDULE, prediction_type=prediction, timestep_spacing="linspace")
        pipeline = StableDiffusionPipeline(
            vae=networks.vae, text_encoder=networks.text, tokenizer=tokenizer, unet=networks.unet, scheduler=scheduler,
            safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        batch, skip = options["batchSize"], options["clipSkip"]
        # Given as embeddings, because the pipeline skips no layer for a negative prompt.
        images = pipeline(
            prompt_embeds=embed(options["prompt"], skip), negative_prompt_embeds=embed(options["negativePrompt"], skip),
            width=options["width"], height=options["height"], num_inference_steps=options["steps"],
            guidance_scale=options["cfgScale"], num_images_per_prompt=batch,
            generator=[torch.Generator().manual_seed(options["seed"] + i) for i in range(batch)], output_type="np").images
        print(f"image {images.shape}: mean {images.mean():.3f}, deviation {images.std():.3f}")
        assert images.std() > 0.05  # a flat picture would prove nothing
        data = [base64.b64encode((image * 255).round().astype("uint8").tobytes()).decode() for image in images]
        yield {**options, "images": data}


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    goldens = Goldens()
    tensors = checkpoint("{}")
    networks = Networks(tensors, TINY)
    (HERE / "networks.json").write_text(json.dumps(networks.names(tensors), indent=1) + "\n")
    tiny_goldens(goldens, networks)
    deep_goldens(goldens, Networks(checkpoint("{ architecture: architectures.deepArchitecture }"), DEEP))
    save_file(dict(goldens), HERE / "networks.safetensors")
    generated = list(pictures(Networks(checkpoint("{ vocabulary: 49408 }"), TINY)))
    (HERE / "images.json").write_text(json.dumps(generated, indent=1) + "\n")


if __name__ == "__main__":
    main()
