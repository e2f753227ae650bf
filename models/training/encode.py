"""Stage 2: freeze the encoder and cache the latents and captions of pictures and scenes.

    python encode.py --work WORK [--colored 1] [--scenes 20000]

Writes WORK/autoencoder.pt (averaged weights; its latents times 0.18215 have mean 0 and variance 1 per channel) and
WORK/examples.pt: `latents` (times 0.18215) and `tokens` ([example, CAPTIONS, 77]) of every trained picture on white, then
of `--colored` variants of each on another colour, then of scenes; `counts` says how many of each.
"""

import argparse
import random
from pathlib import Path

import torch

from autoencoder import Autoencoder
from captions import Scenes, single
from diffusion import SCALE_FACTOR
from parallel import Workers
from images import BACKGROUNDS, compose, load_entries, load_pictures, render
from progress import Average
from text_encoder import load_tokenizer, tokenize

CAPTIONS = 6  # of every example
WHITE_SHARE = 0.6  # of the scenes


def load_averaged(folder):
    """The averaged autoencoder of a training run."""
    state = torch.load(folder / 'state.pt', map_location='cpu', weights_only=True)
    average = Average(Autoencoder(**state['config']))
    average.load_state_dict(state['average'])
    return average.module


def encode(net, pictures, layouts, colors, workers, batch=64):
    """Posterior means of rendered layouts on one colour each."""
    device = next(net.parameters()).device

    def means(start):
        some = slice(start, start + batch)
        pixels = compose(torch.stack([render(pictures, layout) for layout in layouts[some]]), colors[some])
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            return net.moments(pixels.to(device))[0].cpu()

    return torch.cat(list(workers.pool.map(means, range(0, len(layouts), batch))))


@torch.no_grad()
def standardize(net, latents):
    """Fold a shift and scale of each latent channel into the 1x1 convolutions on both sides of the latent space."""
    latents = latents.to(net.quant_conv.weight.device)
    shift, scale = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) * SCALE_FACTOR
    channels = len(scale)
    mean_rows, variance_rows = slice(0, channels), slice(channels, 2 * channels)
    net.quant_conv.weight[mean_rows] /= scale[:, None, None, None]
    net.quant_conv.bias[mean_rows] = (net.quant_conv.bias[mean_rows] - shift) / scale
    net.quant_conv.bias[variance_rows] -= 2 * scale.log()
    weight = net.post_quant_conv.weight
    net.post_quant_conv.bias += (weight[:, :, 0, 0] @ shift)
    weight *= scale[None, :, None, None]


class Examples:
    """Layouts, colours and captions, collected before they are encoded."""

    def __init__(self, entries, size):
        self.entries, self.size = entries, size
        self.chosen = [i for i, entry in enumerate(entries) if not entry['held_out']]
        self.layouts, self.backgrounds, self.captions, self.counts = [], [], [], []

    def add_singles(self, backgrounds):
        """Every trained picture on a background chosen from the colour words."""
        for i in self.chosen:
            word = random.choice(backgrounds)
            self.layouts.append([(i, 0, 0, self.size)])
            self.backgrounds.append(word)
            self.captions.append([single(self.entries[i], word) for _ in range(CAPTIONS)])

    def add_scenes(self, count):
        scenes = Scenes(self.entries, self.chosen, self.size)
        for _ in range(count):
            word = 'white' if random.random() < WHITE_SHARE else random.choice(list(BACKGROUNDS))
            layout, captions = scenes.draw(word, CAPTIONS)
            self.layouts.append(layout)
            self.backgrounds.append(word)
            self.captions.append(captions)

    def colors(self):
        return torch.tensor([BACKGROUNDS[word] for word in self.backgrounds], dtype=torch.float32)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--colored', type=int, default=1, help='coloured variants of each picture (default 1)')
    arguments.add_argument('--scenes', type=int, default=20000)
    arguments.add_argument('--threads', type=int, default=2)
    arguments.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    options = arguments.parse_args()
    workers = Workers(options.threads, options.device)
    torch.manual_seed(0)
    random.seed(0)
    pictures, entries = load_pictures(options.work), load_entries(options.work)
    net = load_averaged(options.work / 'autoencoder').to(options.device)
    examples = Examples(entries, pictures.shape[-1])
    examples.add_singles(['white'])
    ends = [len(examples.layouts)]
    for _ in range(options.colored):
        examples.add_singles([word for word in BACKGROUNDS if word != 'white'])
    ends.append(len(examples.layouts))
    examples.add_scenes(options.scenes)
    ends.append(len(examples.layouts))
    colors = examples.colors()
    standardize(net, encode(net, pictures, examples.layouts[::8], colors[::8], workers))
    latents = encode(net, pictures, examples.layouts, colors, workers) * SCALE_FACTOR
    torch.save({'config': net.config, 'weights': net.cpu().state_dict()}, options.work / 'autoencoder.pt')
    tokenizer = load_tokenizer(options.work)
    tokens = torch.stack([tokenize(tokenizer, captions) for captions in examples.captions]).int()
    counts = [ends[0], ends[1] - ends[0], ends[2] - ends[1]]
    torch.save({'latents': latents, 'tokens': tokens, 'counts': counts}, options.work / 'examples.pt')
    print('latents', tuple(latents.shape), counts, 'mean', latents.mean().item(), 'deviation', latents.std().item())


if __name__ == '__main__':
    main()
