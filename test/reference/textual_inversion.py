"""Golden numbers for embeddings of textual inversion, from transformers and diffusers.

usage: npm run build:ts && python test/reference/textual_inversion.py     (transformers 5.23.0, diffusers 0.42.1, torch 2.15.0)

The networks are those of families.py. Writes, beside this file,

- textual_inversion.safetensors: for each model the random vectors of embeddings as `<model>/<word>/<encoder>`; tokens, some of
  them behind the vocabulary, and what text encoders with a larger table of tokens say of them, every seventh hidden state.
- textual_inversion.json: options of text-to-image calls with these words, and the pictures of diffusers' own pipelines, which have
  loaded the vectors, as base64 of RGB bytes.
"""

import json

import diffusers
import torch
import transformers
from families import COMMON, HERE, MODELS, Model, generate
from safetensors.torch import save_file

RANDOM = torch.Generator().manual_seed(17)
VOCABULARY = 1000
# Words, and how many vectors each has.
WORDS = {"<cat-toy>": 3, "Shiny": 1}
PROMPTS = {"prompt": "a photo of <cat-toy> on a table, Shiny", "negativePrompt": "blurry Shiny, low quality"}


def vectors_of(model):
    """By word, the vectors for each text encoder, wide of those of the vocabulary."""
    return {word: [torch.randn((n, encoder.config.hidden_size), generator=RANDOM) * 0.2 for encoder in model.encoders]
            for word, n in WORDS.items()}


def hidden_states(goldens, model, vectors):
    """With tokens behind the vocabulary in the order of WORDS."""
    rows = sum(WORDS.values())
    tokens = torch.randint(0, VOCABULARY - 1, (2, 77), generator=RANDOM, dtype=torch.int32)
    tokens[:, 0], tokens[:, 30:] = VOCABULARY - 2, VOCABULARY - 1
    tokens[0, 5:5 + rows] = torch.arange(VOCABULARY, VOCABULARY + rows)
    tokens[1, [3, 29]] = VOCABULARY + rows - 1
    goldens[f"{model.name}.tokens"] = tokens
    for i, encoder in enumerate(model.encoders):
        encoder.resize_token_embeddings(VOCABULARY + rows)
        encoder.get_input_embeddings().weight[VOCABULARY:] = torch.cat([parts[i] for parts in vectors.values()])
        goldens[f"{model.name}.hidden{i}"] = model.hidden(i, tokens, 1)[:, ::7]
    if model.xl:
        goldens[f"{model.name}.pooled"] = model.pooled(tokens)


def load(pipeline, vectors):
    for word, parts in vectors.items():
        for part, suffix in zip(parts, ("", "_2")):
            pipeline.load_textual_inversion(
                {word: part}, token=word, text_encoder=getattr(pipeline, "text_encoder" + suffix),
                tokenizer=getattr(pipeline, "tokenizer" + suffix))


@torch.no_grad()
def main():
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    goldens, generated = {}, []
    for name in ("sd2", "xl"):
        model = Model(name, MODELS[name], VOCABULARY)
        model.to(torch.float32)
        vectors = vectors_of(model)
        goldens |= {f"{name}/{word}/{i}": part for word, parts in vectors.items() for i, part in enumerate(parts)}
        hidden_states(goldens, model, vectors)
        model = Model(name, MODELS[name], 49408)
        model.to(torch.float32)
        options = {**COMMON, **PROMPTS, "model": name, "prediction": "epsilon"}
        generated.append(generate(options, model, lambda pipeline: load(pipeline, vectors)))
    save_file({name: value.contiguous() for name, value in goldens.items()}, HERE / "textual_inversion.safetensors")
    (HERE / "textual_inversion.json").write_text(json.dumps(generated, indent=1) + "\n")


if __name__ == "__main__":
    main()
