"""Writes training.ckpt, training_legacy.ckpt and embedding.pt with torch.save: what checkpoints of Stable Diffusion hold, in both
formats of torch.save, and a textual inversion embedding. Tensors of six elements count from 0 to 5.

usage: python torch_files.py FOLDER      (torch 2.15, numpy)
"""
import collections
import pathlib
import sys
import types

import numpy as np
import torch

folder = pathlib.Path(sys.argv[1])

# Checkpoints of PyTorch Lightning 1.4 have a class of it as a key; the package itself is not needed to write one.
module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
for name in ["pytorch_lightning", "pytorch_lightning.callbacks", module.__name__]:
    sys.modules[name] = module
ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
module.ModelCheckpoint = ModelCheckpoint

dtypes = ["float32", "float16", "bfloat16", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "bool", "float8_e4m3fn", "float8_e5m2", "complex64"]
count = torch.arange(6, dtype=torch.float32).reshape(2, 3)

network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
optimizer = torch.optim.AdamW(network.parameters())
network(torch.ones(4, 2)).sum().backward()
optimizer.step()
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)

state = network.state_dict()  # brings the `_metadata` of modules
state["parameter"] = torch.nn.Parameter(count.clone())
for name in dtypes:
    state[f"tensor.{name}"] = count.to(getattr(torch, name))
whole = torch.arange(12, dtype=torch.float32)
state["shared.whole"] = whole
state["shared.part"] = whole[3:9].reshape(3, 2)
state["transposed"] = count.t()
state["expanded"] = torch.ones(1).expand(1000)
state["one row of a column"] = count.t()[:1, :1]  # its strides are odd, and are never used
state["scalar"] = torch.tensor(5.0)
state["empty"] = torch.zeros(0, 4)
state["five axes"] = torch.zeros(1, 2, 3, 4, 5)

training = {
    "epoch": 3,
    "global_step": 470000,
    "pytorch-lightning_version": "1.4.2",
    "loss": 0.125,
    "state_dict": state,
    "callbacks": {ModelCheckpoint: {"monitor": "val/loss", "best_model_score": torch.tensor(0.5), "dirpath": "größer"}},
    "optimizer_states": [optimizer.state_dict()],
    "lr_schedulers": [scheduler.state_dict()],
    "numpy": {"scalar": np.float64(3), "array": np.arange(3), "bytes": b"\x00\xff"},
    "others": [None, True, -5, 10**30, {1, 2}, torch.Size([1, 2]), torch.device("cpu"), torch.float16,
               collections.Counter("abc"), collections.defaultdict(list, {1: 2})],
}
torch.save(training, folder / "training.ckpt")
for name in ["uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"]:
    del state[f"tensor.{name}"]  # torch.load itself fails on them in this format
torch.save(training, folder / "training_legacy.ckpt", _use_new_zipfile_serialization=False)

vectors = torch.nn.Parameter(torch.arange(6, dtype=torch.float32).reshape(2, 3))
torch.save({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": torch.nn.ParameterDict({"*": vectors}),
            "name": "shiny", "step": 500, "sd_checkpoint": None}, folder / "embedding.pt", pickle_protocol=4)
