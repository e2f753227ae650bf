"""Figures of an exported checkpoint: reconstruction PSNR and how often a drawn name is found again.

    python evaluate.py --work WORK --model ../emoji-64.gguf [--names 200] [--against emoji-64-f32.safetensors]

Found at 5: a training picture of the prompted name is among the 5 training pictures (of all names) nearest to the drawn
one. Distance: Euclidean between pictures averaged down to 16x16 pixels, so that place and colour count, not fine edges.
Asked of random names in a style they were trained in, and of the held-out pairs of a name and a style.

`--against` a file of the same weights, unquantized, also gives the PSNR of the one's pictures against the other's.
"""

import argparse
import random
from pathlib import Path

import torch
from torch.nn import functional as F

from captions import with_article
from checkpoint import load_checkpoint
from images import compose, load_entries, load_pictures
from sheet import draw
from text_encoder import load_tokenizer
from train_autoencoder import reconstruction, shown


def features(pixels):
    return F.adaptive_avg_pool2d(pixels, 16).flatten(1)


def seen_pairs(entries, count, groups):
    """(name, style) of random names, each in one of the styles that it was trained in."""
    styles = {}
    for entry in entries:
        if not entry['held_out'] and (not groups or entry['group'] in groups):
            styles.setdefault(entry['name'], []).append(entry['style'])
    choose = random.Random(0)
    return [(name, choose.choice(styles[name])) for name in choose.sample(sorted(styles), min(count, len(styles)))]


def held_out_pairs(entries, count, groups):
    pairs = [(e['name'], e['style']) for e in entries if e['held_out'] and (not groups or e['group'] in groups)]
    return pairs[:count]


def prompts_of(pairs):
    return [f'{with_article(name)}, {style}' for name, style in pairs]


def psnr(a, b):
    """Peak signal-to-noise ratio in dB of each picture in -1..1 against its partner."""
    return 10 * torch.log10(4 / (a - b).square().mean((1, 2, 3)))


def report(what, pairs, names, known, draw_prompts):
    """Draw the pairs, print the shares found among `known` features of pictures called `names`, and return the pictures."""
    drawn = draw_prompts(prompts_of(pairs))
    nearest = torch.cdist(features(drawn), known).topk(5, largest=False).indices.tolist()
    for count in (1, 5):
        found = sum(name in {names[i] for i in row[:count]} for (name, _), row in zip(pairs, nearest))
        print(f'{what}, found at {count}: {found} of {len(pairs)} ({100 * found / len(pairs):.1f} %), '
              f'among {len(names)} pictures of {len(set(names))} names', flush=True)
    return drawn


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--model', type=Path, required=True)
    arguments.add_argument('--against', type=Path, help='unquantized file of the same weights')
    arguments.add_argument('--names', type=int, default=200)
    arguments.add_argument('--groups', nargs='+', default=[], help='ask only for names of these (default all)')
    arguments.add_argument('--steps', type=int, default=20)
    arguments.add_argument('--guidance', type=float, default=3.0)
    arguments.add_argument('--threads', type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    networks, tokenizer = load_checkpoint(options.model), load_tokenizer(options.work)
    entries, pictures = load_entries(options.work), load_pictures(options.work)
    for held_out in (False, True):
        pixels = shown(pictures, entries, held_out, 256)
        print(f'reconstruction: {reconstruction(networks[2], pixels):.2f} dB PSNR, mean over {len(pixels)} random pictures '
              f'on white, {"held out" if held_out else "trained"}', flush=True)

    trained = [i for i, entry in enumerate(entries) if not entry['held_out']]
    known = torch.cat([features(compose(part, torch.full((len(part), 3), 255.0)))
                       for part in pictures[trained].split(256)])
    names = [entries[i]['name'] for i in trained]

    def draw_prompts(prompts, networks=networks):
        return torch.cat([draw(networks, tokenizer, prompts[i:i + 50], pictures.shape[-1], options.steps, options.guidance,
                               seed=i) for i in range(0, len(prompts), 50)])

    for what, choose in (('names seen', seen_pairs), ('held-out pairs', held_out_pairs)):
        pairs = choose(entries, options.names, options.groups)
        if not pairs:
            continue
        drawn = report(what, pairs, names, known, draw_prompts)
        if options.against:
            ratios = psnr(drawn, draw_prompts(prompts_of(pairs), load_checkpoint(options.against)))
            print(f'{what}, against {options.against.name}: {ratios.mean():.1f} dB PSNR, {ratios.min():.1f} at worst')


if __name__ == '__main__':
    main()
