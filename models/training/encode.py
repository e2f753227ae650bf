"""Stage 2: standardize the autoencoder's latents and cache those of every picture.

    python encode.py --work WORK

Writes WORK/autoencoder.pt (averaged weights; its latents times 0.18215 have mean 0 and variance 1 per channel) and
WORK/latents.pt (latents times 0.18215 of every picture, on white and on coloured backgrounds).
"""

import argparse
from pathlib import Path

import torch

from autoencoder import Autoencoder
from diffusion import SCALE_FACTOR
from pictures import BACKGROUNDS, compose, displace, load_pictures
from progress import Average


def load_averaged(folder, config):
    """The averaged autoencoder of a training run."""
    net = Autoencoder(**config)
    average = Average(net)
    average.load_state_dict(torch.load(folder / 'state.pt', weights_only=True)['average'])
    net.load_state_dict(average.weights())
    return net.eval()


@torch.no_grad()
def encode(net, pictures, colors, batch=64):
    """Posterior means of pictures over one colour each."""
    return torch.cat([net.moments(compose(p, c))[0] for p, c in zip(pictures.split(batch), colors.split(batch))])


@torch.no_grad()
def standardize(net, latents):
    """Fold a shift and scale of each latent channel into the 1x1 convolutions on both sides of the latent space."""
    shift, scale = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) * SCALE_FACTOR
    channels = len(scale)
    mean_rows, variance_rows = slice(0, channels), slice(channels, 2 * channels)
    net.quant_conv.weight[mean_rows] /= scale[:, None, None, None]
    net.quant_conv.bias[mean_rows] = (net.quant_conv.bias[mean_rows] - shift) / scale
    net.quant_conv.bias[variance_rows] -= 2 * scale.log()
    weight = net.post_quant_conv.weight
    net.post_quant_conv.bias += (weight[:, :, 0, 0] @ shift)
    weight *= scale[None, :, None, None]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--colored', type=int, default=1, help='coloured variants of each picture (default 1)')
    options = arguments.parse_args()
    torch.manual_seed(0)
    state = torch.load(options.work / 'autoencoder' / 'state.pt', weights_only=True)
    net = load_averaged(options.work / 'autoencoder', state['config'])
    pictures = load_pictures(options.work)
    white = torch.full((len(pictures), 3), 255.0)
    standardize(net, encode(net, pictures[::4], white[::4]))
    torch.save({'config': net.config, 'weights': net.state_dict()}, options.work / 'autoencoder.pt')

    latents, backgrounds = [encode(net, pictures, white)], [torch.zeros(len(pictures), dtype=torch.long)]
    colors = torch.tensor(list(BACKGROUNDS.values()), dtype=torch.float32)
    for _ in range(options.colored):
        chosen = torch.randint(1, len(colors), (len(pictures),))
        latents.append(encode(net, displace(pictures, reach=2), colors[chosen]))
        backgrounds.append(chosen)
    scaled = torch.stack(latents) * SCALE_FACTOR
    torch.save({'latents': scaled, 'backgrounds': torch.stack(backgrounds)}, options.work / 'latents.pt')
    print('latents', tuple(scaled.shape), 'on white: mean', scaled[0].mean().item(), 'deviation', scaled[0].std().item())


if __name__ == '__main__':
    main()
