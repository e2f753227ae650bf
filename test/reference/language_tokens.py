"""Golden tokens for the tokenizers of language models in lib/text, by transformers and tokenizers.

    python test/reference/language_tokens.py     (transformers 5.24, tokenizers 0.23, sentencepiece 0.2.3, protobuf)

writes beside this file qwen_tokens.json and unigram_tokens.json, more than 1,000 strings with their tokens, and
unigram.model.gz. Qwen's vocabulary is built from models/qwen-merges.gz: 256 byte symbols, then a token for each merge. The
unigram model is trained here on half of the strings and on the documentation, with the special tokens and the
normalization (nmt_nfkc) of T5, whose vocabulary is not in this repository.
"""

import gzip
import io
import json
import random
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from text import strings
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import Qwen2Tokenizer

HERE = Path(__file__).parent
CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<pad>", "</s>", "<unk>", "<extra_id_0>"]

HAND_WRITTEN = [
    *CONTROLS, "<|im_end|>\n<|im_start|>assistant\n", "a<|im_end|>b", " <|endoftext|>", "<|im_start|", "a cat</s> a dog", "▁a▁cat", "▁▁",
    *(" " * n for n in (2, 3, 4, 7, 8, 15, 16, 31, 63, 64, 100)), *("a" + " " * n + "b" for n in (2, 3, 5, 9, 30, 80)),
    "\n", "\n\n", "\n\n\n\n", " \n", "\n ", " \n \n ", "\r\n\r\n", "\r", "a\n\nb", "a \n b", "a\r\n\tb", "\t\t\tx", "x\t\t\t", "  x  ", "! \n", "!\n\n a", "?!\r\n",
    "'S 'T 'RE 'VE 'M 'LL 'D", "it's IT'S it'S I'Ll they'rE 'ſ it'ſ K'K", "''s", "x's\u0301", "\u2019s", "'l 'r 'v 'L'L",
    "1", "12", "123", "1234", "12345678901234567890", "0.1 0.12 1e-5 0xFF 1_000", "½²³ⅷ١٢٣४५६", "1a2b3c", "$1,234.56", "2026-11-27T10:20:30Z",
    "def f(x):\n    return x ** 2  # squares\n", "if (a && b) {\n\treturn a[0] != b;\n}", "for(int i=0;i<10;i++){sum+=i;}", "<div class=\"a\">x</div>",
    "SELECT * FROM t WHERE a = 'b';", "{\"key\": [1, 2, {\"a\": null}]}", "const f = async (x) => `${x}`;", "\\frac{1}{2} \\n \\u0041", "//// ==== ---- ####",
    "a\u0085b", "\u0085\u0085", "a\ufeffb", "\ufeff", "\u180e", "\u2028\u2029", "a\u3000\u3000b", "\u00a0\u00a0x", "\x1c\x1dx\x1e", "\u200b \u200b", "\u2060\u00ad",
    "".join(map(chr, range(0, 32))), "".join(map(chr, range(127, 161))), "\u0000\u0000", "\ufffd", "\ufffd\ufffd", "a\ufffd b",
    "\u0301" * 40, "e" + "\u0301\u0323" * 40, "e" + "\u0323\u0307\u0301" * 20, "각각" * 20, "\u1100\u1161\u11a8" * 20, "ﬁﬂ½Å①㍿㌔ﾊﾟ", "Ａ Ｂ　Ｃ", "ｶﾞｷﾞ", "…‥", "~ ～ 〜",
    "İ ı ẞ ŉ ǰ", "ℌ ℍ ℵ ™ © ª º", "㈱ ㎏ ㏒", "\u0958\u0959", "\u0dda", "ﷺ ﷲ", "𝒳𝔜𝕫", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\U000e0001",
    "the quick brown fox jumps over the lazy dog " * 6, "antidisestablishmentarianism" * 4, "abcdefghijklmnopqrstuvwxyz" * 8, "猫犬" * 60, "🍎" * 60,
    "Vietnamese: tiếng Việt, Hà Nội", "ภาษาไทยไม่มีช่องว่าง", "မြန်မာဘာသာ", "ភាសាខ្មែរ", "ქართული", "հայերեն", "አማርኛ", "ᏣᎳᎩ", "ᐃᓄᒃᑎᑐᑦ", "ⲙⲉⲧⲣⲉⲙ", "𐌲𐌿𐍄", "བོད་སྐད", "ᠮᠣᠩᠭᠣᠯ",
]


def language_strings():
    rng = random.Random(43)
    texts = [text for text in strings() if "|startoftext|" not in text][:1100] + HAND_WRITTEN
    pieces = [" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "a", "Zü", "1", "23", "...", "!", "猫", "か\u3099", "\u0301", "🍎", "ﬁ", "\u00a0", "\u0000", "_", "<|im_end|>"]
    while len(texts) < 1400:  # white space, digits, punctuation and letters in any order
        texts.append("".join(rng.choice(pieces) for _ in range(rng.randint(1, 14))))
    return sorted(set(texts), key=texts.index)


def qwen_tokenizer():
    columns = gzip.decompress((HERE / "../../models/qwen-merges.gz").read_bytes())
    n = len(columns) // 6
    number = lambda first, rank: int.from_bytes(columns[first * n + rank : (first + 3) * n : n], "big")
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    vocab = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    merges = []
    for rank in range(n):
        left, right = vocab[number(0, rank)], vocab[number(3, rank)]
        merges.append(f"{left} {right}")
        vocab.append(left + right)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocab)}), "utf8")
        Path(folder, "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf8")
        return Qwen2Tokenizer.from_pretrained(folder, split_special_tokens=True)


def unigram_model():
    documents = sorted((HERE / "../../docs").glob("*.md"))
    lines = [line.strip() for path in documents for line in path.read_text("utf8").splitlines()]
    lines += [line for text in language_strings()[::2] for line in text.replace("\0", "").splitlines()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for line in lines if line), model_writer=model, model_type="unigram", vocab_size=3000,
        normalization_rule_name="nmt_nfkc", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>",
        control_symbols=["<extra_id_0>"], user_defined_symbols=["<user>"], character_coverage=0.99,
        num_threads=1, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


def unigram_tokenizer(model):
    """As the tokenizer.json of T5, but no text becomes a special token: in its place is one that no text has."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    text = lambda i, piece: piece.piece if piece.type in (1, 4) else f"\U0010fffe{i}"
    vocab = [(text(i, piece), piece.score) for i, piece in enumerate(proto.pieces)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
            normalizers.Strip(left=False, right=True),
            normalizers.Replace(Regex(" {2,}"), "▁"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def write(name, rows):
    lines = ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in rows)
    (HERE / name).write_text(f"[\n{lines}\n]\n", "utf8")
    print(name, len(rows), "strings")


if __name__ == "__main__":
    qwen = qwen_tokenizer()
    write("qwen_tokens.json", [[text, qwen(text)["input_ids"]] for text in language_strings()])
    model = unigram_model()
    (HERE / "unigram.model.gz").write_bytes(gzip.compress(model, 9, mtime=0))
    unigram = unigram_tokenizer(model)
    write("unigram_tokens.json", [[text, unigram.encode(text).ids] for text in language_strings()])
