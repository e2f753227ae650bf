"""Stage 2b: train the decoder further, the latents staying as they are.

    python tune_decoder.py --work WORK --minutes 3

Changes WORK/autoencoder.pt (decoder only, averaged weights); what was trained on its latents stays valid. Started again
with more minutes, it goes on from WORK/decoder/state.pt.
"""

import argparse
from pathlib import Path

import torch
from torch.nn import functional as F

from autoencoder import Autoencoder
from diffusion import SCALE_FACTOR
from optimizer import make_optimizers, set_rate
from parallel import Workers
from pictures import load_pictures
from progress import Average, Run
from train_autoencoder import is_kernel, random_batch

LATENT_NOISE = 0.1  # deviation, on latents of variance 1: a sampled latent is never exact either


def differences(pixels):
    """Red less green and blue less green: the hue, which small autoencoders learn last."""
    return pixels[:, [0, 2]] - pixels[:, 1:2]


def loss_of(net, pixels):
    with torch.autocast('cpu', torch.bfloat16):
        with torch.no_grad():
            latents = net.moments(pixels)[0]
        decoded = net.decode(latents + torch.randn_like(latents) * LATENT_NOISE / SCALE_FACTOR).float()
    return (F.smooth_l1_loss(decoded, pixels, beta=0.2)
            + F.smooth_l1_loss(differences(decoded), differences(pixels), beta=0.2))


def store(net, average, work):
    """Write autoencoder.pt with the averaged decoder."""
    torch.save({'config': net.config, 'weights': {**net.state_dict(), **average.weights()}}, work / 'autoencoder.pt')


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--minutes', type=float, default=3, help='training time per thread (default 3)')
    arguments.add_argument('--batch', type=int, default=16)
    arguments.add_argument('--rate', type=float, default=2e-3)
    arguments.add_argument('--threads', type=int, default=2)
    options = arguments.parse_args()
    workers = Workers(options.threads)
    pictures = load_pictures(options.work)
    stored = torch.load(options.work / 'autoencoder.pt', weights_only=True)
    net = Autoencoder(**stored['config'])
    net.load_state_dict(stored['weights'])
    decoder = torch.nn.ModuleDict({'decoder': net.decoder, 'post_quant_conv': net.post_quant_conv})
    average = Average(decoder, decay=0.99)
    optimizers = make_optimizers([decoder], options.rate, is_kernel)
    run = Run(options.work / 'decoder', options.minutes, options.threads, save_every=60)
    parts = {'decoder': decoder, 'average': average, **{f'optimizer{i}': o for i, o in enumerate(optimizers)}}
    run.resume(parts)
    torch.manual_seed(run.step)
    while run.progress < 1:
        set_rate(optimizers, options.rate, run.progress)
        shares = random_batch(pictures, options.batch).chunk(workers.count)
        loss = workers.backward(lambda share: loss_of(net, share), shares, decoder.parameters())
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        run.step += 1
        average.update(decoder, run.step)
        if run.step % 25 == 0:
            run.log(loss=round(loss, 5))
        if run.save(parts, config=net.config):
            store(net, average, options.work)
    run.save(parts, config=net.config, force=True)
    store(net, average, options.work)


if __name__ == '__main__':
    main()
