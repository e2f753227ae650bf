"""Stage 1: train the autoencoder on the pictures, alone and in scenes.

    python train_autoencoder.py --work WORK --minutes 60 [--device cuda]

Writes WORK/autoencoder/state.pt; started again, it goes on from there.
"""

import argparse
import random
from pathlib import Path

import torch
from torch.nn import functional as F

from autoencoder import Autoencoder
from captions import Scenes
from optimizer import make_optimizers, set_rate
from parallel import Workers
from images import BACKGROUNDS, compose, load_entries, load_pictures, psnr, render
from progress import Average, Run

KL_WEIGHT = 2e-5
COLORED_SHARE, SCENE_SHARE, SCENES, REACH = 0.25, 0.15, 4000, 2


class Batches:
    """Random pictures: most alone on white, others on any colour or in scenes; moved by a pixel or two."""

    def __init__(self, pictures, entries, device):
        chosen = [i for i, entry in enumerate(entries) if not entry['held_out']]
        scenes = Scenes(entries, chosen, pictures.shape[-1])
        rendered = [render(pictures, scenes.draw('white', captions=0)[0]) for _ in range(SCENES)]
        self.layers = torch.cat([pictures[chosen], torch.stack(rendered)]).to(device)
        self.scenes_from = len(chosen)
        self.named = torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32, device=device)

    def draw(self, count):
        """[count, 3, height, width] in -1..1."""
        device, (height, width) = self.layers.device, self.layers.shape[2:]
        draw = lambda least, end: torch.randint(least, end, (count,), device=device)
        in_scene = torch.rand(count, device=device) < SCENE_SHARE
        chosen = torch.where(in_scene, draw(self.scenes_from, len(self.layers)), draw(0, self.scenes_from))
        rows = (torch.arange(height, device=device) + draw(-REACH, REACH + 1)[:, None]) % height
        columns = (torch.arange(width, device=device) + draw(-REACH, REACH + 1)[:, None]) % width
        moved = self.layers[chosen[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        colors = self.named[draw(0, len(self.named))] + 12 * torch.randn(count, 3, device=device)
        colors[torch.rand(count, device=device) > COLORED_SHARE] = 255.0
        return compose(moved, colors.clamp(0, 255))


def loss_of(net, pixels):
    """Smooth L1 of the reconstruction plus a small KL term, both means over their elements."""
    with torch.autocast(pixels.device.type, torch.bfloat16):
        mean, log_variance = net.moments(pixels)
        decoded = net.decode(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)).float()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    return F.smooth_l1_loss(decoded, pixels, beta=0.2) + KL_WEIGHT * kl


@torch.no_grad()
def reconstruction(net, pixels):
    """Mean PSNR in dB over the pictures, encoded and decoded."""
    return torch.cat([psnr(net.decode(net.moments(p)[0]), p) for p in pixels.split(32)]).mean().item()


def shown(pictures, entries, held_out, count):
    """A fixed random choice of pictures on white, trained or held out, [count, 3, height, width] in -1..1."""
    chosen = [i for i, entry in enumerate(entries) if entry['held_out'] == held_out]
    chosen = pictures[random.Random(1).sample(chosen, min(count, len(chosen)))]
    return compose(chosen, torch.full((len(chosen), 3), 255.0))


def is_kernel(name, parameter):
    """Muon's share: hidden convolutions, not those that meet pixels or latents."""
    return parameter.ndim == 4 and not any(part in name for part in ('conv_in', 'conv_out', 'quant'))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--minutes', type=float, default=60, help='training time per thread (default 60)')
    arguments.add_argument('--batch', type=int, default=32)
    arguments.add_argument('--rate', type=float, default=3e-3, help='peak learning rate')
    arguments.add_argument('--width', type=int, default=32)
    arguments.add_argument('--multipliers', type=int, nargs='+', default=[1, 1, 2, 5])
    arguments.add_argument('--threads', type=int, default=2)
    arguments.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    options = arguments.parse_args()
    workers = Workers(options.threads, options.device)
    torch.manual_seed(0)
    entries, pictures = load_entries(options.work), load_pictures(options.work)
    batches, seen = Batches(pictures, entries, options.device), shown(pictures, entries, False, 128).to(options.device)
    net = Autoencoder(options.width, tuple(options.multipliers)).to(options.device)
    average = Average(net)
    net.to(memory_format=torch.channels_last)
    optimizers = make_optimizers([net], options.rate, is_kernel, workers)
    run = Run(options.work / 'autoencoder', options.minutes, options.threads, options.device)
    parts = {'net': net, 'average': average, **{f'optimizer{i}': o for i, o in enumerate(optimizers)}}
    run.resume(parts)
    torch.manual_seed(run.step)
    random.seed(run.step)
    print(f'{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters', flush=True)
    compiled = torch.compile(lambda pixels: loss_of(net, pixels))
    mean_loss, first = 0.0, run.step
    while run.progress < 1:
        rate = set_rate(optimizers, options.rate, run.progress)
        pixels = batches.draw(options.batch).contiguous(memory_format=torch.channels_last)
        loss = workers.backward(compiled, pixels.chunk(workers.count), net.parameters())
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        run.step += 1
        average.update(net, run.step)
        mean_loss += (loss - mean_loss) * max(0.02, 1 / (run.step - first))
        if run.step % 50 == 0:
            figures = {'psnr': round(reconstruction(average.module, seen), 2)} if run.step % 500 == 0 else {}
            run.log(loss=round(mean_loss, 5), rate=round(rate, 6), **figures)
        run.save(parts, config=net.config)
    run.save(parts, config=net.config, force=True)
    run.log(psnr=round(reconstruction(average.module, seen), 2))


if __name__ == '__main__':
    main()
