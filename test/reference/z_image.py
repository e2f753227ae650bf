"""Golden numbers for Z-Image, from transformers and diffusers.

usage: npm run build:ts && python test/reference/z_image.py     (transformers 5.24.0, diffusers 0.42.1, torch 2.15.0)

The tiny model is the one that the tests write (test/support/tiny-z-image.ts), as a diffusers folder; a node process writes it
here too. Writes, beside this file,

- z_image.safetensors: inputs and outputs of the language model and of the denoiser in float32. Every output is compared with
  the same computation in float64 first, so that the goldens are known to be good to 1e-5.
- z_image.json: tokens of prompts in the chat template; noise levels; options of text-to-image calls, and the pictures of
  diffusers' own pipeline as base64 of RGB bytes.
"""

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import Qwen3Config, Qwen3Model

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from language_tokens import qwen_tokenizer  # noqa: E402

SUPPORT = (HERE / "../../dist/test/support/tiny-z-image.js").resolve().as_uri()

PROMPTS = {
    "short": "a red apple",
    "empty": "",
    "white": "\n  two lines\n\nof text ",
    "other": "кот 猫 🍎 e\u0301",
    "control": "an end <|im_end|>\n<|im_start|>system\nnot so",
    "long": "a very long prompt about a red apple on a wooden table, " * 60,
}


def folder():
    path = Path(tempfile.mkdtemp())
    script = f"""import {{ cpSync }} from 'node:fs';
        import {{ zImageFolder }} from {json.dumps(SUPPORT)};
        cpSync(zImageFolder(), {json.dumps(str(path))}, {{ recursive: true }});"""
    subprocess.run(["node", "--input-type=module", "-e", script], check=True)
    return path


class Model:
    def __init__(self):
        path = folder()
        read = lambda part, stem: {k: v.float() for k, v in load_file(path / part / f"{stem}.safetensors").items()}
        self.text = Qwen3Model(Qwen3Config(
            vocab_size=151936, hidden_size=32, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, head_dim=32, rms_norm_eps=1e-6, rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            attn_implementation="eager", pad_token_id=None, bos_token_id=None, eos_token_id=None))
        state = read("text_encoder", "model")
        self.text.load_state_dict({k.removeprefix("model."): v for k, v in state.items()}, strict=True)
        self.transformer = ZImageTransformer2DModel(
            dim=96, n_layers=2, n_refiner_layers=1, n_heads=3, n_kv_heads=3, cap_feat_dim=32, axes_dims=[8, 12, 12],
            axes_lens=[1024, 64, 64])
        self.transformer.load_state_dict(read("transformer", "diffusion_pytorch_model"), strict=True)
        self.vae = AutoencoderKL(
            block_out_channels=[32, 32, 64, 64], layers_per_block=1, latent_channels=16, sample_size=32,
            down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, scaling_factor=0.3611,
            shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False)
        self.vae.load_state_dict(read("vae", "diffusion_pytorch_model"), strict=True)
        for network in (self.text, self.transformer, self.vae):
            network.eval()

    def to(self, dtype):
        self.dtype = dtype
        self.text.to(dtype)
        self.transformer.to(dtype)

    def hidden(self, tokens):
        """After the last layer but one, taken at the layer itself: versions differ in what hidden_states has."""
        found = []
        hook = self.text.layers[-2].register_forward_hook(lambda _, __, out: found.append(out[0] if isinstance(out, tuple) else out))
        self.text(input_ids=tokens.long())
        hook.remove()
        return found[0]

    def predict(self, latent, timesteps, context):
        """Noise minus image, as the pipeline has it. `timesteps` 0 to 1000, which is noise."""
        time = (1000 - timesteps.to(self.dtype)) / 1000
        images = list(latent.to(self.dtype).unsqueeze(2))
        out = self.transformer(images, time, list(context.to(self.dtype)), return_dict=False)[0]
        return -torch.stack(out).squeeze(2)


class Goldens(dict):
    def __init__(self):
        self.random = torch.Generator().manual_seed(5)

    def normal(self, name, *shape):
        self[name] = torch.randn(shape, generator=self.random)
        return self[name]

    def compute(self, name, model, function):
        model.to(torch.float64)
        exact = function()
        model.to(torch.float32)
        self[name] = function().contiguous()
        error = ((self[name] - exact).abs().max() / exact.abs().max()).item()
        print(f"{name} {tuple(self[name].shape)}: relative error {error:.1e}, largest {exact.abs().max():.2f}")
        assert error < 1e-5
        return self[name]


def template_tokens(tokenizer, prompt):
    """The chat template of Qwen3 with its generation prompt, and control tokens in the prompt as text."""
    encode = lambda text: tokenizer(text)["input_ids"]
    start, end = 151644, 151645
    tokens = [start, *encode("user\n" + prompt), end, *encode("\n"), start, *encode("assistant\n")]
    return tokens[:512]


CASES = {  # [batch, 16, height, width] of the latent, tokens of the text
    "odd": ((1, 16, 10, 6), 5),  # 15 and 5 tokens, both filled up
    "even": ((2, 16, 8, 16), 32),  # 32 and 32 tokens, none filled up
    "tall": ((1, 16, 22, 4), 70),
}

PICTURES = [
    {"prompt": "a red apple", "negativePrompt": "", "width": 48, "height": 80, "steps": 3, "cfgScale": 1, "seed": 5},
    {"prompt": "", "negativePrompt": "", "width": 64, "height": 64, "steps": 2, "cfgScale": 1, "seed": 6, "batchSize": 2},
    {"prompt": "a very long prompt about a red apple on a wooden table, " * 6, "negativePrompt": "blurry", "width": 80,
     "height": 48, "steps": 3, "cfgScale": 3.5, "seed": 7},
]


def generate(options, model, tokenizer):
    embed = lambda prompt: model.hidden(torch.tensor([template_tokens(tokenizer, prompt)]))[0]
    pipeline = ZImagePipeline(scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), vae=model.vae, text_encoder=None,
                              tokenizer=None, transformer=model.transformer)
    pipeline.set_progress_bar_config(disable=True)
    count = options.get("batchSize", 1)
    shape = (16, options["height"] // 8, options["width"] // 8)
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(options["seed"] + i)) for i in range(count)]
    # diffusers' scale of guidance is one less than that of everyone else.
    images = pipeline(
        prompt=None, prompt_embeds=[embed(options["prompt"])] * count, negative_prompt_embeds=[embed(options["negativePrompt"])] * count,
        width=options["width"], height=options["height"], num_inference_steps=options["steps"],
        guidance_scale=options["cfgScale"] - 1, latents=torch.stack(noise), output_type="np").images
    print(f"image {images.shape}: mean {images.mean():.3f}, deviation {images.std():.3f}")
    assert images.std() > 0.05  # a flat picture would prove nothing
    encoded = [base64.b64encode((image * 255).round().astype("uint8").tobytes()).decode() for image in images]
    return {"options": options, "images": encoded}


def sigmas(steps, shift):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=torch.linspace(1.0, 1 / steps, steps).tolist())
    return [float(s) for s in scheduler.sigmas]


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    goldens, model, tokenizer = Goldens(), Model(), qwen_tokenizer()
    tokens = {name: template_tokens(tokenizer, prompt) for name, prompt in PROMPTS.items()}
    for name in ("short", "empty", "long"):
        goldens.compute(f"hidden.{name}", model, lambda: model.hidden(torch.tensor([tokens[name]])))
    pair = torch.tensor([tokens["short"], tokens["short"][::-1]])
    goldens.compute("hidden.pair", model, lambda: model.hidden(pair))
    for name, (shape, length) in CASES.items():
        latent, context = goldens.normal(f"{name}.latent", *shape), goldens.normal(f"{name}.context", shape[0], length, 32)
        timesteps = torch.tensor([601.5, 1000.0][: shape[0]])
        goldens.compute(f"{name}.prediction", model, lambda: model.predict(latent, timesteps, context))
    save_file(dict(goldens), HERE / "z_image.safetensors")
    model.to(torch.float32)
    written = {
        "tokens": [{"prompt": prompt, "tokens": tokens[name]} for name, prompt in PROMPTS.items()],
        "sigmas": [{"steps": n, "shift": shift, "sigmas": sigmas(n, shift)} for n, shift in ((8, 3.0), (9, 3.0), (28, 6.0))],
        "pictures": [generate(options, model, tokenizer) for options in PICTURES],
    }
    (HERE / "z_image.json").write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
