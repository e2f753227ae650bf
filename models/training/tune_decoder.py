"""Stage 3b: train the decoder further, the latents staying as they are.

    python tune_decoder.py --work WORK --minutes 3

Changes WORK/autoencoder.pt (decoder only, averaged weights); what was trained on its latents stays valid. Started again
with more minutes, it goes on from WORK/decoder/state.pt.
"""

import argparse
import random
from pathlib import Path

import torch
from torch.nn import functional as F

from autoencoder import Autoencoder
from diffusion import SCALE_FACTOR
from optimizer import make_optimizers, set_rate
from parallel import Workers
from images import load_entries, load_pictures
from progress import Average, Run
from train_autoencoder import Batches, is_kernel, reconstruction, shown

LATENT_NOISE = 0.05  # deviation, on latents of variance 1: a sampled latent is never exact either


class Decoder(torch.nn.Module):
    """The half of the autoencoder that is trained, under the names that it has there."""

    def __init__(self, net):
        super().__init__()
        self.decoder, self.post_quant_conv = net.decoder, net.post_quant_conv


def loss_of(net, pixels):
    with torch.autocast(pixels.device.type, torch.bfloat16):
        with torch.no_grad():
            latents = net.moments(pixels)[0]
        decoded = net.decode(latents + torch.randn_like(latents) * LATENT_NOISE / SCALE_FACTOR).float()
    return F.smooth_l1_loss(decoded, pixels, beta=0.5)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--minutes', type=float, default=30, help='training time per thread (default 30)')
    arguments.add_argument('--batch', type=int, default=32)
    arguments.add_argument('--rate', type=float, default=2e-3, help='peak learning rate')
    arguments.add_argument('--threads', type=int, default=2)
    arguments.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    options = arguments.parse_args()
    workers = Workers(options.threads, options.device)
    torch.manual_seed(0)
    random.seed(0)
    entries, pictures = load_entries(options.work), load_pictures(options.work)
    batches, seen = Batches(pictures, entries, options.device), shown(pictures, entries, False, 128).to(options.device)
    stored = torch.load(options.work / 'autoencoder.pt', map_location='cpu', weights_only=True)
    net = Autoencoder(**stored['config']).to(options.device)
    net.load_state_dict(stored['weights'])
    average = Average(net)  # of it, the encoder never changes
    net.to(memory_format=torch.channels_last)
    decoder = Decoder(net)
    optimizers = make_optimizers([decoder], options.rate, is_kernel, workers)
    run = Run(options.work / 'decoder', options.minutes, options.threads, options.device)
    parts = {'net': net, 'average': average, **{f'optimizer{i}': o for i, o in enumerate(optimizers)}}
    run.resume(parts)
    torch.manual_seed(run.step)
    compiled = torch.compile(lambda pixels: loss_of(net, pixels))
    mean_loss, first = 0.0, run.step

    def store():
        weights = {name: value.cpu() for name, value in average.module.state_dict().items()}
        torch.save({'config': net.config, 'weights': weights}, options.work / 'autoencoder.pt')
        run.log(psnr=round(reconstruction(average.module, seen), 2))

    while run.progress < 1:
        rate = set_rate(optimizers, options.rate, run.progress)
        pixels = batches.draw(options.batch).contiguous(memory_format=torch.channels_last)
        loss = workers.backward(compiled, pixels.chunk(workers.count), decoder.parameters())
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        run.step += 1
        average.update(net, run.step)
        mean_loss += (loss - mean_loss) * max(0.02, 1 / (run.step - first))
        if run.step % 50 == 0:
            run.log(loss=round(mean_loss, 5), rate=round(rate, 6))
        if run.save(parts, config=net.config):
            store()
    run.save(parts, config=net.config, force=True)
    store()


if __name__ == '__main__':
    main()
