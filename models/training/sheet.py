"""Draw prompts with an exported checkpoint into one contact sheet.

    python sheet.py --work WORK --model ../emoji-64.gguf --output sheet.png "a red apple" "a cat, 3d"
"""

import argparse
from pathlib import Path

import torch
from PIL import Image

from checkpoint import load_checkpoint
from diffusion import SCALE_FACTOR, sample
from text_encoder import load_tokenizer, tokenize


@torch.no_grad()
def draw(networks, tokenizer, prompts, size, steps, guidance, seed):
    """Pictures in -1..1 of the prompts, [prompt, 3, size, size]."""
    text, unet, autoencoder = networks
    context, empty = text(tokenize(tokenizer, prompts)), text(tokenize(tokenizer, ['']))
    latents = sample(unet, context, empty, (4, size // 8, size // 8), steps, guidance, seed)
    return autoencoder.decode(latents / SCALE_FACTOR).clamp(-1, 1)


def save_sheet(pictures, columns, path):
    """Pictures in -1..1 side by side, `columns` a row."""
    pictures = list(((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
    size = pictures[0].shape[0]
    rows = (len(pictures) + columns - 1) // columns
    sheet = Image.new('RGB', (columns * (size + 4) + 4, rows * (size + 4) + 4), (128, 128, 128))
    for i, picture in enumerate(pictures):
        sheet.paste(Image.fromarray(picture), (4 + i % columns * (size + 4), 4 + i // columns * (size + 4)))
    sheet.save(path)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('prompts', nargs='+')
    arguments.add_argument('--work', type=Path, required=True, help="for the tokenizer's package")
    arguments.add_argument('--model', type=Path, required=True)
    arguments.add_argument('--output', type=Path, required=True)
    arguments.add_argument('--size', type=int, default=64)
    arguments.add_argument('--columns', type=int, default=8)
    arguments.add_argument('--steps', type=int, default=20)
    arguments.add_argument('--guidance', type=float, default=3.0)
    arguments.add_argument('--seed', type=int, default=0)
    options = arguments.parse_args()
    pictures = draw(load_checkpoint(options.model), load_tokenizer(options.work), options.prompts, options.size,
                    options.steps, options.guidance, options.seed)
    save_sheet(pictures, options.columns, options.output)


if __name__ == '__main__':
    main()
