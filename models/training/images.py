"""The training pictures as tensors: storage and composition onto backgrounds."""

import json
import math
from collections import Counter

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

# Colour words of the captions and what they mean in red, green and blue.
BACKGROUNDS = {
    'white': (255, 255, 255), 'black': (24, 24, 28), 'gray': (150, 150, 150), 'red': (210, 50, 50),
    'orange': (245, 150, 60), 'yellow': (250, 220, 90), 'green': (90, 180, 90), 'blue': (80, 140, 230),
    'purple': (150, 90, 200), 'pink': (250, 170, 200),
}


def save_pictures(work, style, pictures):
    """Write uint8 [picture, size, size, RGBA] as one sheet of tiles, row by row, about as wide as high."""
    count, size = pictures.shape[:2]
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    tiles = np.zeros((rows * columns, size, size, 4), np.uint8)
    tiles[:count] = pictures
    sheet = tiles.reshape(rows, columns, size, size, 4).swapaxes(1, 2).reshape(rows * size, columns * size, 4)
    Image.fromarray(sheet).save(work / f'{style}.webp', lossless=True, quality=50)


def load_sheet(path, count):
    """The first `count` tiles of a sheet, uint8 [picture, size, size, RGBA]."""
    sheet = np.asarray(Image.open(path).convert('RGBA'))
    columns = math.ceil(math.sqrt(count))
    size = sheet.shape[1] // columns
    return sheet.reshape(-1, size, columns, size, 4).swapaxes(1, 2).reshape(-1, size, size, 4)[:count]


def load_pictures(work):
    """All pictures in the order of the entries, uint8 [picture, RGBA, height, width]."""
    counts = Counter(entry['style'] for entry in load_entries(work))
    sheets = [load_sheet(work / f'{style}.webp', count) for style, count in counts.items()]
    return torch.from_numpy(np.concatenate(sheets)).permute(0, 3, 1, 2).contiguous()


def load_entries(work):
    """Name, style, group and keywords of each picture."""
    return json.loads((work / 'entries.json').read_text())


def compose(pictures, colors):
    """RGBA bytes over one colour each ([picture, 3], 0..255): float RGB in -1..1."""
    pictures = pictures.float()
    alpha = pictures[:, 3:] / 255
    flat = pictures[:, :3] * alpha + colors[:, :, None, None] * (1 - alpha)
    return flat / 127.5 - 1


def paste(canvas, picture, left, top, size):
    """Draw one RGBA picture, made `size` pixels wide and high, onto a canvas (floats 0..1, colours times alpha), in place.

    What reaches over the edges is cut off.
    """
    layer = picture.float() / 255
    layer = torch.cat([layer[:3] * layer[3:], layer[3:]])
    if size != picture.shape[-1]:
        layer = F.interpolate(layer[None], (size, size), mode='bilinear', antialias=True)[0]
    height, width = canvas.shape[1:]
    x, y = max(left, 0), max(top, 0)
    layer = layer[:, y - top:height - top, x - left:width - left]
    area = canvas[:, y:y + layer.shape[1], x:x + layer.shape[2]]
    area.mul_(1 - layer[3:]).add_(layer)


def render(pictures, layout):
    """A layout (list of (picture, left, top, size)) as one picture, uint8 [RGBA, height, width]."""
    canvas = torch.zeros(pictures.shape[1:])
    for picture, left, top, side in layout:
        paste(canvas, pictures[picture], left, top, side)
    colors = canvas[:3] / canvas[3:].clamp(min=1e-3)
    return (torch.cat([colors, canvas[3:]]).clamp(0, 1) * 255).round().byte()


def psnr(pixels, reference):
    """Peak signal-to-noise ratio in dB of each picture in -1..1."""
    error = (pixels.clamp(-1, 1) - reference).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4 / error)
