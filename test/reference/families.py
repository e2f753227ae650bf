"""Golden numbers for the networks of Stable Diffusion 2, SDXL, its refiner and their relatives, from transformers and diffusers.

usage: npm run build:ts && python test/reference/families.py     (transformers 5.23.0, diffusers 0.42.1, torch 2.15.0)

Small checkpoints of each kind as in networks.py, and as there every output is first compared with float64. Writes, beside this
file,

- families.safetensors: inputs and outputs of the text encoders and of the UNet of each model. The inputs of a UNet are the outputs
  of its text encoders, pooled ones too, and the numbers that its kind is conditioned with.
- families.json: options of text-to-image calls, and the pictures of diffusers' own pipelines as base64 of RGB bytes.
"""

import base64
import json

from pathlib import Path

import diffusers
import torch
import transformers
from diffusers import (
    AutoencoderKL, EulerDiscreteScheduler, LatentConsistencyModelPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline,
    UNet2DConditionModel)
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint, convert_open_clip_checkpoint)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from networks import SCHEDULE, TEXT, UNET, Goldens, checkpoint

HERE = Path(__file__).parent
SMALL = {"block_out_channels": [64, 128], "layers_per_block": 1, "attention": [True, False]}
XL = {**SMALL, "attention": [False, True], "transformer_layers_per_block": [1, 2], "use_linear_projection": True,
      "attention_head_dim": [1, 2], "addition_embed_type": "text_time", "addition_time_embed_dim": 256}
FIRST = {"block_out_channels": [32, 64], "layers_per_block": 1, "attention": [True, False], "attention_head_dim": 8}

MODELS = {
    "sd2": {"unet": {**SMALL, "use_linear_projection": True, "attention_head_dim": [1, 2]}, "clip": None, "open_clip": (128, 3),
            "open_clip_prefix": "cond_stage_model.model."},
    "xl": {"unet": {**XL, "projection_class_embeddings_input_dim": 128 + 6 * 256}, "clip": (64, 2), "open_clip": (128, 3),
           "clip_prefix": "conditioner.embedders.0.transformer.text_model.", "open_clip_prefix": "conditioner.embedders.1.model.",
           "numbers": [1024.0, 768.0, 8.0, 16.0, 512.0, 640.0]},
    "refiner": {"unet": {**XL, "block_out_channels": [64, 64], "attention_head_dim": [1, 1],
                         "projection_class_embeddings_input_dim": 128 + 5 * 256},
                "clip": None, "open_clip": (128, 2), "open_clip_prefix": "conditioner.embedders.0.model.",
                "numbers": [1024.0, 768.0, 8.0, 16.0, 6.0]},
    "ssd": {"unet": {**XL, "projection_class_embeddings_input_dim": 128 + 6 * 256, "mid_block_type": "UNetMidBlock2D",
                     "reverse_transformer_layers_per_block": [1, 1]},
            "clip": (64, 2), "open_clip": (128, 3), "clip_prefix": "conditioner.embedders.0.transformer.text_model.",
            "open_clip_prefix": "conditioner.embedders.1.model.", "numbers": [512.0, 512.0, 0.0, 0.0, 512.0, 512.0]},
    "distilled": {"unet": {"block_out_channels": [32, 64, 64], "layers_per_block": 1, "attention": [True, True, True],
                           "attention_head_dim": 8, "mid_block_type": None}, "clip": (64, 2), "open_clip": None},
    "lcm": {"unet": {**FIRST, "time_cond_proj_dim": 256}, "clip": (64, 2), "open_clip": None, "guidance": 8.5},
    "inpaint": {"unet": {**FIRST, "in_channels": 9}, "clip": (64, 2), "open_clip": None},
}


def text_encoder(tensors, prefix, width, layers, open_clip):
    vocabulary = tensors[prefix + ("token_embedding.weight" if open_clip else "embeddings.token_embedding.weight")].shape[0]
    config = CLIPTextConfig(
        hidden_size=width, num_hidden_layers=layers, intermediate_size=4 * width, num_attention_heads=width // 64,
        hidden_act="gelu" if open_clip else "quick_gelu", projection_dim=width, vocab_size=vocabulary, max_position_embeddings=77,
        bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1, attn_implementation="eager")
    network = CLIPTextModelWithProjection(config) if open_clip else CLIPTextModel(config)
    if open_clip:
        state = convert_open_clip_checkpoint(network, dict(tensors), prefix=prefix)
        # It leaves out the projection of Stable Diffusion 2, which has no use there.
        state.setdefault("text_projection.weight", tensors[prefix + "text_projection"].T.contiguous())
    else:
        state = {"text_model." + name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    # Where transformers has dropped the `text_model.` before the names of a model, they go without.
    wanted = network.state_dict()
    state = {name if name in wanted else name.removeprefix("text_model."): value for name, value in state.items()}
    network.load_state_dict(state, strict=True)
    return network.eval()


def sequential(tensors, network):
    """The state of a UNet whose blocks have other numbers than diffusers' converter expects: block after block, in order."""
    names = [name.removeprefix(UNET) for name in tensors if name.startswith(UNET)]

    def blocks(kind):
        numbers = {int(name.split(".")[1]) for name in names if name.startswith(kind)}
        return [f"{kind}.{i}" for i in sorted(numbers)]

    places = {"input_blocks.0.0": "conv_in", "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
              "label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2", "out.0": "conv_norm_out",
              "out.2": "conv_out", "middle_block.0": "mid_block.resnets.0"}
    inputs = iter(blocks("input_blocks")[1:])
    for level, down in enumerate(network.down_blocks):
        for i in range(len(down.resnets)):
            name = next(inputs)
            places[name + ".0"], places[name + ".1"] = f"down_blocks.{level}.resnets.{i}", f"down_blocks.{level}.attentions.{i}"
        if down.downsamplers:
            places[next(inputs) + ".0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
    outputs = iter(blocks("output_blocks"))
    for level, up in enumerate(network.up_blocks):
        for i in range(len(up.resnets)):
            name = next(outputs)
            places[name + ".0"], places[name + ".1"] = f"up_blocks.{level}.resnets.{i}", f"up_blocks.{level}.attentions.{i}"
        if up.upsamplers:
            own = [n for n in names if n.startswith(name + ".") and n.split(".")[3] == "conv"]
            name = name if own else next(outputs)
            for place in (1, 2):
                places[f"{name}.{place}.conv"] = f"up_blocks.{level}.upsamplers.0.conv"
    parts = {"in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
             "out_layers.3": "conv2", "skip_connection": "conv_shortcut"}
    state = {}
    for name in names:
        place = max((p for p in places if name.startswith(p + ".")), key=len)
        rest = name.removeprefix(place + ".")
        for part, to in parts.items():
            rest = rest.replace(part, to)
        state[f"{places[place]}.{rest}"] = tensors[UNET + name]
    return state


def unet(tensors, sizes, context):
    sizes = dict(sizes)
    down = ["CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in sizes.pop("attention")]
    sizes |= {"down_block_types": down, "up_block_types": [name.replace("Down", "Up") for name in reversed(down)],
              "cross_attention_dim": context, "sample_size": 8}
    network = UNet2DConditionModel(**sizes)
    if "mid_block_type" in sizes:
        state = sequential(tensors, network)
    else:
        state = convert_ldm_unet_checkpoint(dict(tensors), dict(network.config))
        if "time_cond_proj_dim" in sizes:
            state["time_embedding.cond_proj.weight"] = tensors[UNET + "time_embed.cond_proj.weight"]
    network.load_state_dict(state, strict=True)
    return network.eval()


class Model:
    def __init__(self, name, sizes, vocabulary=1000):
        self.name, self.sizes = name, sizes
        tensors = checkpoint(f"{{ architecture: architectures.{name}Architecture, vocabulary: {vocabulary} }}")
        self.vae = AutoencoderKL(block_out_channels=[32, 64], layers_per_block=1, latent_channels=4, sample_size=32,
                                 down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
                                 scaling_factor=0.13025 if "numbers" in sizes else 0.18215)
        self.vae.load_state_dict(convert_ldm_vae_checkpoint(dict(tensors), dict(self.vae.config)), strict=True)
        self.vae.eval()
        self.encoders = []
        if sizes["clip"]:
            self.encoders.append(text_encoder(tensors, sizes.get("clip_prefix", TEXT), *sizes["clip"], False))
        if sizes["open_clip"]:
            self.encoders.append(text_encoder(tensors, sizes["open_clip_prefix"], *sizes["open_clip"], True))
        self.unet = unet(tensors, sizes["unet"], sum(encoder.config.hidden_size for encoder in self.encoders))
        self.xl = "numbers" in sizes

    def to(self, dtype):
        self.dtype = dtype
        for network in (*self.encoders, self.unet):
            network.to(dtype)

    def hidden(self, encoder, tokens, skip):
        network = self.encoders[encoder]
        state = network(input_ids=tokens.long(), output_hidden_states=True).hidden_states[-skip]
        norm = getattr(network, "text_model", network).final_layer_norm
        return state if self.xl else norm(state)

    def pooled(self, tokens):
        return self.encoders[-1](input_ids=tokens.long()).text_embeds

    def predict(self, latent, timesteps, context, pooled):
        conditions = {}
        if self.xl:
            numbers = torch.tensor([self.sizes["numbers"]], dtype=self.dtype)
            conditions["added_cond_kwargs"] = {"text_embeds": pooled.to(self.dtype), "time_ids": numbers}
        if "guidance" in self.sizes:
            scale = torch.tensor([self.sizes["guidance"] - 1])
            conditions["timestep_cond"] = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, scale, 256).to(self.dtype)
        return self.unet(latent.to(self.dtype), timesteps, encoder_hidden_states=context.to(self.dtype), **conditions).sample


def goldens_of(g, m):
    tokens = g.tokens(f"{m.name}.tokens", 1, 999)
    tokens[0, 20] = 999  # the end token, which has the highest number
    skip = 2 if m.xl or m.sizes["open_clip"] else 1
    hidden = [g.compute(f"{m.name}.hidden{i}", m, lambda: m.hidden(i, tokens, skip)) for i in range(len(m.encoders))]
    pooled = g.compute(f"{m.name}.pooled", m, lambda: m.pooled(tokens)) if m.xl else None
    latent = g.normal(f"{m.name}.latent", 1, m.sizes["unet"].get("in_channels", 4), 8, 6)
    timesteps = torch.tensor([601.5])
    context = torch.cat(hidden, dim=-1)
    g.compute(f"{m.name}.prediction", m, lambda: m.predict(latent, timesteps, context, pooled))


COMMON = {"prompt": "a red apple", "width": 24, "height": 16, "steps": 3, "cfgScale": 4.0, "seed": 5}
PICTURES = [
    {**COMMON, "model": "sd2", "negativePrompt": "blurry", "prediction": "epsilon"},
    {**COMMON, "model": "sd2", "negativePrompt": "", "prediction": "v"},
    {**COMMON, "model": "xl", "negativePrompt": "blurry, low quality", "prediction": "epsilon"},
    {**COMMON, "model": "xl", "negativePrompt": "", "prediction": "epsilon", "originalSize": {"width": 640, "height": 480},
     "cropTopLeft": {"top": 12, "left": 34}, "targetSize": {"width": 512, "height": 384}},
]


def generate(options, model, prepare=lambda pipeline: None):
    """What diffusers' pipeline generates with the noise of torch's CPU generator and Euler's method, after `prepare`."""
    from text import clip_tokenizer

    tokenizer, open_clip_tokenizer = clip_tokenizer(), clip_tokenizer()
    tokenizer.model_max_length = open_clip_tokenizer.model_max_length = 77
    open_clip_tokenizer.pad_token = "!"
    assert open_clip_tokenizer.pad_token_id == 0
    prediction = {"epsilon": "epsilon", "v": "v_prediction"}[options["prediction"]]
    scheduler = EulerDiscreteScheduler(**SCHEDULE, prediction_type=prediction, timestep_spacing="linspace")
    arguments = {"prompt": options["prompt"], "negative_prompt": options["negativePrompt"] or None, "width": options["width"],
                 "height": options["height"], "num_inference_steps": options["steps"], "guidance_scale": options["cfgScale"],
                 "generator": torch.Generator().manual_seed(options["seed"]), "output_type": "np"}
    if model.xl:
        pipeline = StableDiffusionXLPipeline(
            vae=model.vae, text_encoder=model.encoders[0], text_encoder_2=model.encoders[1], tokenizer=tokenizer,
            tokenizer_2=open_clip_tokenizer, unet=model.unet, scheduler=scheduler, force_zeros_for_empty_prompt=True,
            add_watermarker=False)
        size = lambda name: (options[name]["height"], options[name]["width"]) if name in options else None
        corner = options.get("cropTopLeft", {"top": 0, "left": 0})
        arguments |= {"original_size": size("originalSize"), "target_size": size("targetSize"),
                      "crops_coords_top_left": (corner["top"], corner["left"])}
    else:
        # diffusers' checkpoints of Stable Diffusion 2 lack the last layer of the text encoder, which the original skips.
        model.encoders[0].text_model.encoder.layers = model.encoders[0].text_model.encoder.layers[:2]
        model.encoders[0].config.num_hidden_layers = 2
        pipeline = StableDiffusionPipeline(
            vae=model.vae, text_encoder=model.encoders[0].text_model, tokenizer=open_clip_tokenizer, unet=model.unet,
            scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    prepare(pipeline)
    [image] = pipeline(**arguments).images
    print(f"{options['model']} image {image.shape}: mean {image.mean():.3f}, deviation {image.std():.3f}")
    assert image.std() > 0.05  # a flat picture would prove nothing
    return {**options, "image": base64.b64encode((image * 255).round().astype("uint8").tobytes()).decode()}


def write_pictures():
    generated = []
    for options in PICTURES:
        model = Model(options["model"], MODELS[options["model"]], 49408)
        model.to(torch.float32)
        generated.append(generate(options, model))
    (HERE / "families.json").write_text(json.dumps(generated, indent=1) + "\n")


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    goldens = Goldens()
    for name, sizes in MODELS.items():
        goldens_of(goldens, Model(name, sizes))
    save_file(dict(goldens), HERE / "families.safetensors")
    write_pictures()


if __name__ == "__main__":
    main()
