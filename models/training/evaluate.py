"""Figures of an exported checkpoint: reconstruction PSNR and how often a drawn name is found again.

    python evaluate.py --work WORK --model ../emoji-64.safetensors [--names 200] [--groups "Food & Drink"]

Found at 5: a training picture of the prompted name is among the 5 training pictures nearest to the drawn one.
Distance: Euclidean between pictures averaged down to 16x16 pixels, so that place and colour count, not fine edges.
"""

import argparse
import random
from pathlib import Path

import torch
from torch.nn import functional as F

from captions import STYLES, with_article
from checkpoint import load_checkpoint
from pictures import compose, load_entries, load_pictures, psnr
from sheet import draw
from text_encoder import load_tokenizer


def features(pixels):
    return F.adaptive_avg_pool2d(pixels, 16).flatten(1)


@torch.no_grad()
def reconstruction(autoencoder, pixels):
    """Mean PSNR in dB over the pictures, encoded and decoded."""
    return torch.cat([psnr(autoencoder.decode(autoencoder.moments(p)[0]), p) for p in pixels.split(32)]).mean().item()


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--model', type=Path, required=True)
    arguments.add_argument('--names', type=int, default=200)
    arguments.add_argument('--groups', nargs='+', default=[], help='ask only for names of these (default all)')
    arguments.add_argument('--steps', type=int, default=20)
    arguments.add_argument('--guidance', type=float, default=3.0)
    arguments.add_argument('--threads', type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    networks, tokenizer = load_checkpoint(options.model), load_tokenizer(options.work)
    entries, pictures = load_entries(options.work), load_pictures(options.work)
    pixels = compose(pictures, torch.full((len(pictures), 3), 255.0))
    shown = pixels[:: max(1, len(pixels) // 256)][:256]
    print(f'reconstruction: {reconstruction(networks[2], shown):.2f} dB PSNR, mean over {len(shown)} pictures on white')

    names = sorted({e['name'] for e in entries if not options.groups or e['group'] in options.groups})
    names = sorted(random.Random(0).sample(names, min(options.names, len(names))))
    prompts = [f'{with_article(name)}, {STYLES[i % len(STYLES)]}' for i, name in enumerate(names)]
    drawn = torch.cat([draw(networks, tokenizer, prompts[i:i + 32], pixels.shape[-1], options.steps, options.guidance,
                            seed=i) for i in range(0, len(prompts), 32)])
    nearest = torch.cdist(features(drawn), features(pixels)).topk(5, largest=False).indices.tolist()
    for count in (1, 5):
        found = sum(name in {entries[i]['name'] for i in row[:count]} for name, row in zip(names, nearest))
        print(f'found at {count}: {found} of {len(names)} names ({100 * found / len(names):.1f} %), '
              f'among {len(pixels)} pictures of {len({e["name"] for e in entries})} names')


if __name__ == '__main__':
    main()
