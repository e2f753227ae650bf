"""Read an exported checkpoint back: every size from the shapes of its tensors, every tensor used."""

from pathlib import Path

import gguf
import torch
from safetensors.torch import load_file

from autoencoder import Autoencoder
from export import AUTOENCODER, TEXT, UNET
from text_encoder import VOCABULARY, TextEncoder
from unet import UNet


def load_tensors(path):
    """Name -> tensor in single precision, of a safetensors or a (quantized) GGUF file."""
    if Path(path).suffix == '.safetensors':
        return {name: value.float() for name, value in load_file(path).items()}
    return {tensor.name: torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
            .reshape(tuple(int(size) for size in reversed(tensor.shape))) for tensor in gguf.GGUFReader(path).tensors}


def part(tensors, prefix):
    return {name[len(prefix):]: value for name, value in tensors.items() if name.startswith(prefix)}


def numbered(weights, pattern):
    """Widths (first dimension) of the tensors pattern.format(0), pattern.format(1), ... as far as they exist."""
    found = []
    while (name := pattern.format(len(found))) in weights:
        found.append(weights[name].shape[0])
    return found


def unet_config(weights):
    width = weights['input_blocks.0.0.weight'].shape[0]
    blocks = 0
    while any(name.startswith(f'input_blocks.{blocks}.') for name in weights):
        blocks += 1
    levels = [weights[f'input_blocks.{i}.0.in_layers.2.weight'].shape[0] // width for i in range(1, blocks, 3)]
    context = weights['middle_block.1.transformer_blocks.0.attn2.to_k.weight'].shape[1]
    return {'width': width, 'multipliers': tuple(levels), 'context_width': context}


def autoencoder_config(weights):
    width = weights['encoder.conv_in.weight'].shape[0]
    widths = numbered(weights, 'encoder.down.{}.block.0.conv1.weight')
    return {'width': width, 'multipliers': tuple(w // width for w in widths),
            'blocks': len(numbered(weights, 'encoder.down.0.block.{}.conv1.weight'))}


def load_checkpoint(path):
    """(text encoder, UNet, autoencoder) in single precision; fails on missing and on unused tensors."""
    tensors = load_tensors(path)
    text_weights, unet_weights, picture_weights = (part(tensors, prefix) for prefix in (TEXT, UNET, AUTOENCODER))
    unused = len(tensors) - len(text_weights) - len(unet_weights) - len(picture_weights)
    if unused:
        raise ValueError(f'{path}: {unused} tensors belong to no network of SD 1.x')
    rows = torch.arange(VOCABULARY)
    text = TextEncoder(rows, width=text_weights['final_layer_norm.weight'].shape[0],
                       layers=len(numbered(text_weights, 'encoder.layers.{}.layer_norm1.weight')))
    text.load_state_dict({**text_weights, 'vocabulary_rows': rows})
    unet = UNet(**unet_config(unet_weights))
    unet.load_state_dict(unet_weights)
    autoencoder = Autoencoder(**autoencoder_config(picture_weights))
    autoencoder.load_state_dict(picture_weights)
    return text.eval(), unet.eval(), autoencoder.eval()
