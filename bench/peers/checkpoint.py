"""Writes a checkpoint of Stable Diffusion 1.5's or SDXL's size with random weights in f16, in the layout of diffusers.

usage: python bench/peers/checkpoint.py FOLDER [--model sd15] [--device cpu]
needs: torch, diffusers, transformers
"""

import argparse
import json
import pathlib

import torch
from networks import MODELS, unet, vae
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", type=pathlib.Path)
arguments.add_argument("--model", choices=MODELS, default="sd15")
arguments.add_argument("--device", default="cpu")
options = arguments.parse_args()
torch.set_default_device(options.device)

parts = {
    "unet": unet(options.model),
    "vae": vae(options.model),
    "text_encoder": CLIPTextModel(
        CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    ),
}
if options.model == "sdxl":
    parts["text_encoder_2"] = CLIPTextModelWithProjection(
        CLIPTextConfig(
            hidden_size=1280,
            intermediate_size=5120,
            num_hidden_layers=32,
            num_attention_heads=20,
            hidden_act="gelu",
            projection_dim=1280,
        )
    )
for name, part in parts.items():
    part.half().save_pretrained(options.folder / name, max_shard_size="20GB")
pipeline = {"sd15": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}[options.model]
(options.folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
