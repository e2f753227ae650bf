"""What a training picture shows and the words for it: one thing, or a scene of several in one style."""

import random

STYLES = ('noto', 'twemoji', 'flat', 'gradient', '3d')
NUMBERS = {2: 'two', 3: 'three', 4: 'four'}
PLACES = {  # where the first thing is -> words between the two, the first one first
    'left': ('next to', 'and', 'beside', 'to the left of', 'left of'),
    'right': ('next to', 'and', 'beside', 'to the right of', 'right of'),
    'above': ('above', 'on top of', 'over'),
    'below': ('below', 'under', 'beneath'),
}
SIZES = {'small': ('small', 'tiny', 'little'), 'large': ('large', 'big', 'huge')}


def with_article(name):
    """'a red apple', 'an onion', but 'grapes' as it is."""
    if name.endswith('s') and not name.endswith('ss'):
        return name
    return f'{"an" if name[0] in "aeiou" else "a"} {name}'


def plural(name):
    if name.endswith(('s', 'x', 'z', 'ch', 'sh')):
        return name if name.endswith('s') and not name.endswith('ss') else name + 'es'
    if name.endswith('y') and name[-2:-1] not in 'aeiou':
        return name[:-1] + 'ies'
    return name + 's'


def name_of(entry, choose):
    """The name, now and then a keyword in its place."""
    if entry['keywords'] and choose.random() < 0.05:
        return choose.choice(entry['keywords'])
    return entry['name']


def finish(text, style, background, choose):
    """Words for the background and, most times, for the style."""
    if choose.random() < 0.08:
        text = f'a picture of {text}'
    if background != 'white' or choose.random() < 0.1:
        text += f' on a {background} background'
    if choose.random() < 0.88:
        text += f', {style}' if choose.random() < 0.8 else f', {style} style'
    return text


def single(entry, background, choose=random):
    """A caption of one thing."""
    name = name_of(entry, choose)
    return finish(with_article(name) if choose.random() < 0.6 else name, entry['style'], background, choose)


def around(x, y, side, size):
    """Left, top and side of a square round a point given in shares of the picture."""
    return round(x * size - side / 2), round(y * size - side / 2), side


class Pair:
    """Two things beside or above each other, maybe of different sizes."""

    CENTRES = {'left': (0.27, 0.5), 'right': (0.73, 0.5), 'above': (0.5, 0.27), 'below': (0.5, 0.73)}
    OPPOSITE = {'left': 'right', 'right': 'left', 'above': 'below', 'below': 'above'}
    SIDES = {'small': 0.36, 'large': 0.6, None: 0.5}

    def __init__(self, first, second, entries, size, choose):
        self.place = choose.choice(('left', 'left', 'right', 'right', 'above', 'below'))
        self.names = [entries[first]['name'], entries[second]['name']]
        self.scales = (None, None)
        if self.place in ('left', 'right') and choose.random() < 0.25:
            self.scales = choose.choice((('small', 'large'), ('large', 'small')))
        self.layout = [(i, *around(*self.CENTRES[where], round(self.SIDES[scale] * size), size))
                       for i, where, scale in zip((first, second), (self.place, self.OPPOSITE[self.place]), self.scales)]

    def words(self, choose):
        first, second = (with_article(f'{choose.choice(SIZES[scale])} {name}' if scale else name)
                         for name, scale in zip(self.names, self.scales))
        return f'{first} {choose.choice(PLACES[self.place])} {second}'


class Several:
    """Two, three or four of a kind."""

    CENTRES = {2: ((0.27, 0.5), (0.73, 0.5)), 3: ((0.27, 0.73), (0.73, 0.73), (0.5, 0.27)),
               4: ((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73))}

    def __init__(self, thing, entries, size, choose):
        self.count, self.name = choose.choice((2, 3, 4)), entries[thing]['name']
        self.layout = [(thing, *around(*centre, round(0.48 * size), size)) for centre in self.CENTRES[self.count]]

    def words(self, choose):
        return f'{NUMBERS[self.count]} {plural(self.name)}'


class Resized:
    """One small or large thing."""

    SIDES = {'small': 0.5, 'large': 1.12}

    def __init__(self, thing, entries, size, choose):
        self.scale, self.name = choose.choice(('small', 'small', 'large')), entries[thing]['name']
        self.layout = [(thing, *around(0.5, 0.5, round(self.SIDES[self.scale] * size), size))]

    def words(self, choose):
        return with_article(f'{choose.choice(SIZES[self.scale])} {self.name}')


class Scenes:
    """Random scenes of the given pictures, the things of a scene all in one style."""

    def __init__(self, entries, chosen, size):
        self.entries, self.size, self.chosen = entries, size, chosen
        self.alike = {style: [i for i in chosen if entries[i]['style'] == style] for style in STYLES}

    def draw(self, background, captions, choose=random):
        """(layout for pictures.render, a list of that many captions)."""
        first = choose.choice(self.chosen)
        style = self.entries[first]['style']
        kind = choose.random()
        if kind < 0.6:
            scene = Pair(first, choose.choice(self.alike[style]), self.entries, self.size, choose)
        elif kind < 0.85:
            scene = Several(first, self.entries, self.size, choose)
        else:
            scene = Resized(first, self.entries, self.size, choose)
        return scene.layout, [finish(scene.words(choose), style, background, choose) for _ in range(captions)]


def all_words(entries, backgrounds):
    """Text that holds every word a caption may use: what the tokenizer must have embedding rows for."""
    names = [word for e in entries
             for word in [e['name'], with_article(e['name']), plural(e['name']), *e['keywords']]]
    others = [word for words in [*PLACES.values(), *SIZES.values()] for word in words]
    return [*names, *others, *NUMBERS.values(), *STYLES, *backgrounds, 'a picture of an on a background, style']
