"""The words of a training picture: its name, at times its style, background and a keyword."""

import random

STYLES = ('noto', 'twemoji', 'flat', '3d')


def with_article(name):
    """'a red apple', 'an onion', but 'grapes' as it is."""
    if name.endswith('s') and not name.endswith('ss'):
        return name
    return f'{"an" if name[0] in "aeiou" else "a"} {name}'


def caption(entry, background, choose=random):
    """One of the many captions of a picture on a background of the given colour word."""
    name = entry['name']
    if entry['keywords'] and choose.random() < 0.04:
        name = choose.choice(entry['keywords'])
    text = with_article(name) if choose.random() < 0.55 else name
    if choose.random() < 0.1:
        text = f'a picture of {text}'
    if background != 'white' or choose.random() < 0.1:
        text += f' on a {background} background'
    if choose.random() < 0.7:
        text += f', {entry["style"]}' if choose.random() < 0.8 else f', {entry["style"]} style'
    return text


def all_words(entries, backgrounds):
    """Text that holds every word a caption may use: what the tokenizer must have embedding rows for."""
    names = [word for e in entries for word in [e['name'], with_article(e['name']), *e['keywords']]]
    return [*names, *STYLES, *backgrounds, 'a picture of an on a background, style']
