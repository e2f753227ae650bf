"""Stage 1: train the autoencoder on the pictures.

    python train_autoencoder.py --work WORK --minutes 30

Writes WORK/autoencoder/state.pt; started again, it goes on from there.
"""

import argparse
from pathlib import Path

import torch
from torch.nn import functional as F

from autoencoder import Autoencoder
from optimizer import make_optimizers, set_rate
from parallel import Workers
from pictures import BACKGROUNDS, compose, displace, load_pictures, psnr
from progress import Average, Run

KL_WEIGHT = 1e-4


def random_batch(pictures, count):
    """Pictures on backgrounds: most on white, the others on any colour; displaced, sometimes mirrored."""
    chosen = displace(pictures[torch.randint(len(pictures), (count,))], reach=3)
    mirrored = torch.rand(count) < 0.5
    chosen[mirrored] = chosen[mirrored].flip(3)
    named = torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32)
    colors = named[torch.randint(len(named), (count,))] + 12 * torch.randn(count, 3)
    colors[torch.rand(count) < 0.7] = 255.0
    return compose(chosen, colors.clamp(0, 255))


def loss_of(net, pixels, autocast):
    """Smooth L1 of the reconstruction plus a small KL term, both means over their elements."""
    with autocast():
        mean, log_variance = net.moments(pixels)
        decoded = net.decode(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)).float()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    return F.smooth_l1_loss(decoded, pixels, beta=0.2) + KL_WEIGHT * kl


@torch.no_grad()
def validate(average, config, pictures, autocast):
    """PSNR of 64 pictures on white, with the averaged weights."""
    net = Autoencoder(**config)
    net.load_state_dict(average.weights())
    chosen = pictures[:: max(1, len(pictures) // 64)][:64]
    pixels = compose(chosen, torch.full((len(chosen), 3), 255.0))
    with autocast():
        decoded = net.decode(net.moments(pixels)[0])
    return psnr(decoded.float(), pixels).mean().item()


def is_kernel(name, parameter):
    """Muon's share: hidden convolutions, not those that meet pixels or latents."""
    return parameter.ndim == 4 and not any(part in name for part in ('conv_in', 'conv_out', 'quant'))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--minutes', type=float, default=30, help='training time per thread (default 30)')
    arguments.add_argument('--batch', type=int, default=16)
    arguments.add_argument('--rate', type=float, default=2e-3, help='peak learning rate')
    arguments.add_argument('--width', type=int, default=32)
    arguments.add_argument('--multipliers', type=int, nargs='+', default=[1, 1, 2, 4])
    arguments.add_argument('--threads', type=int, default=2)
    arguments.add_argument('--folder', default='autoencoder', help='folder of the run below WORK')
    options = arguments.parse_args()
    workers = Workers(options.threads)
    torch.manual_seed(0)

    def autocast():
        return torch.autocast('cpu', torch.bfloat16)

    pictures = load_pictures(options.work)
    net = Autoencoder(options.width, tuple(options.multipliers))
    average = Average(net)
    optimizers = make_optimizers([net], options.rate, is_kernel)
    run = Run(options.work / options.folder, options.minutes, options.threads)
    parts = {'net': net, 'average': average, **{f'optimizer{i}': o for i, o in enumerate(optimizers)}}
    run.resume(parts)
    torch.manual_seed(run.step)
    print(f'{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters', flush=True)
    while run.progress < 1:
        rate = set_rate(optimizers, options.rate, run.progress)
        batch = random_batch(pictures, options.batch)
        loss = workers.backward(lambda share: loss_of(net, share, autocast), batch.chunk(workers.count), net.parameters())
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        run.step += 1
        average.update(net, run.step)
        if run.step % 25 == 0:
            run.log(loss=round(loss, 5), rate=round(rate, 6),
                    **({'psnr': round(validate(average, net.config, pictures, autocast), 2)} if run.step % 50 == 0 else {}))
        run.save(parts, config=net.config)
    run.save(parts, config=net.config, force=True)
    run.log(psnr=round(validate(average, net.config, pictures, autocast), 2))


if __name__ == '__main__':
    main()
