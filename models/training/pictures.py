"""The training pictures as tensors: composition onto backgrounds and small displacements."""

import json

import numpy as np
import torch

# Colour words of the captions and what they mean in red, green and blue.
BACKGROUNDS = {
    'white': (255, 255, 255), 'black': (24, 24, 28), 'gray': (150, 150, 150), 'red': (210, 50, 50),
    'orange': (245, 150, 60), 'yellow': (250, 220, 90), 'green': (90, 180, 90), 'blue': (80, 140, 230),
    'purple': (150, 90, 200), 'pink': (250, 170, 200),
}


def load_pictures(work):
    """All pictures, uint8 [picture, RGBA, height, width]."""
    return torch.from_numpy(np.load(work / 'pictures.npy')).permute(0, 3, 1, 2).contiguous()


def load_entries(work):
    """Name, style, group and keywords of each picture."""
    return json.loads((work / 'entries.json').read_text())


def compose(pictures, colors):
    """RGBA bytes over one colour each ([picture, 3], 0..255): float RGB in -1..1."""
    pictures = pictures.float()
    alpha = pictures[:, 3:] / 255
    flat = pictures[:, :3] * alpha + colors[:, :, None, None] * (1 - alpha)
    return flat / 127.5 - 1


def displace(pictures, reach):
    """Each picture moved by up to `reach` pixels both ways; the margin keeps what is drawn inside."""
    moved = torch.empty_like(pictures)
    for i, (dy, dx) in enumerate(torch.randint(-reach, reach + 1, (len(pictures), 2)).tolist()):
        moved[i] = torch.roll(pictures[i], (dy, dx), (1, 2))
    return moved


def psnr(pixels, reference):
    """Peak signal-to-noise ratio in dB of each picture in -1..1."""
    error = (pixels.clamp(-1, 1) - reference).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4 / error)
