"""Writes the UNet as an ONNX file in f32, weights beside it, for bench/peers/onnx.mjs.

usage: python bench/peers/export_onnx.py FOLDER [--size 512]
needs: torch, diffusers, onnx, onnxscript
"""

import argparse
import pathlib

import torch
from networks import unet, unet_inputs

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", type=pathlib.Path)
arguments.add_argument("--size", type=int, default=512)
options = arguments.parse_args()
options.folder.mkdir(parents=True, exist_ok=True)


class Prediction(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.unet = unet()

    def forward(self, latent, timesteps, context):
        return self.unet(latent, timesteps, encoder_hidden_states=context, return_dict=False)[0]


torch.onnx.export(
    Prediction(),
    tuple(unet_inputs(options.size, torch.float32).values()),
    options.folder / "unet.onnx",
    input_names=["latent", "timesteps", "context"],
    output_names=["prediction"],
    dynamo=True,
    external_data=True,
)
