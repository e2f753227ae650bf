"""Stage 3: train the UNet and the text encoder together on the cached latents.

    python train_diffusion.py --work WORK --minutes 60

Writes WORK/diffusion/state.pt; started again, it goes on from there.
"""

import argparse
from pathlib import Path

import torch

from captions import all_words, caption
from diffusion import alphas_cumulative, noise_loss
from optimizer import make_optimizers, set_rate
from parallel import Workers
from pictures import BACKGROUNDS, load_entries
from progress import Average, Run
from text_encoder import TextEncoder, load_tokenizer, rows_of, tokenize
from unet import UNet

EMPTY_SHARE, COLORED_SHARE = 0.1, 0.2


class Model(torch.nn.Module):
    """UNet and text encoder, the two networks that learn from captions."""

    def __init__(self, vocabulary_rows, text, unet):
        super().__init__()
        self.text = TextEncoder(vocabulary_rows, **text)
        self.unet = UNet(context_width=text['width'], **unet)
        self.config = {'text': text, 'unet': unet}


class Captioned:
    """Batches of latents with the tokens of a fresh caption each."""

    def __init__(self, work, groups):
        cached = torch.load(work / 'latents.pt', weights_only=True)
        self.latents, self.backgrounds = cached['latents'], cached['backgrounds']
        self.entries, self.tokenizer = load_entries(work), load_tokenizer(work)
        self.chosen = torch.tensor(
            [i for i, entry in enumerate(self.entries) if not groups or entry['group'] in groups])

    def used_tokens(self):
        """Sorted ids of all tokens that captions can hold, start and end included."""
        return tokenize(self.tokenizer, all_words(self.entries, BACKGROUNDS)).unique()

    def batch(self, count):
        words = list(BACKGROUNDS)
        pictures = self.chosen[torch.randint(len(self.chosen), (count,))]
        variants = torch.where(torch.rand(count) < COLORED_SHARE, torch.randint(1, len(self.latents), (count,)), 0)
        backgrounds = self.backgrounds[variants, pictures].tolist()
        prompts = [caption(self.entries[p], words[b]) for p, b in zip(pictures.tolist(), backgrounds)]
        dropped = (torch.rand(count) < EMPTY_SHARE).tolist()
        prompts = ['' if drop else prompt for drop, prompt in zip(dropped, prompts)]
        return self.latents[variants, pictures], tokenize(self.tokenizer, prompts)


def is_matrix(name, parameter):
    """Muon's share: hidden matrices and kernels, not the embeddings and not the first and last convolution."""
    return parameter.ndim >= 2 and not any(
        part in name for part in ('embedding.weight', 'unet.out.', 'input_blocks.0.', 'time_embed.0'))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--minutes', type=float, default=60, help='training time per thread (default 60)')
    arguments.add_argument('--batch', type=int, default=32)
    arguments.add_argument('--groups', nargs='+', default=[], help='Unicode groups to train on (default all drawn)')
    arguments.add_argument('--rate', type=float, default=2e-3, help='peak learning rate')
    arguments.add_argument('--width', type=int, default=64, help='channels of the first UNet level')
    arguments.add_argument('--multipliers', type=int, nargs='+', default=[1, 1, 1, 1])
    arguments.add_argument('--text-width', type=int, default=64)
    arguments.add_argument('--text-layers', type=int, default=2)
    arguments.add_argument('--threads', type=int, default=2)
    options = arguments.parse_args()
    workers = Workers(options.threads)
    torch.manual_seed(0)

    data = Captioned(options.work, options.groups)
    model = Model(rows_of(data.used_tokens()), {'width': options.text_width, 'layers': options.text_layers},
                  {'width': options.width, 'multipliers': options.multipliers})
    model.to(memory_format=torch.channels_last)
    average, alphas = Average(model), alphas_cumulative()
    optimizers = make_optimizers([model], options.rate, is_matrix, weight_decay=0.01)
    run = Run(options.work / 'diffusion', options.minutes, options.threads)
    parts = {'model': model, 'average': average, **{f'optimizer{i}': o for i, o in enumerate(optimizers)}}
    run.resume(parts)
    torch.manual_seed(run.step)
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in model.named_children()}
    print(f'{len(data.chosen)} pictures, parameters {counts}', flush=True)

    def loss_of(share):
        latents, tokens = share
        return noise_loss(model.unet, latents, model.text(tokens), alphas)

    mean_loss, first = 0.0, run.step
    while run.progress < 1:
        rate = set_rate(optimizers, options.rate, run.progress)
        latents, tokens = data.batch(options.batch)
        latents = latents.contiguous(memory_format=torch.channels_last)
        shares = list(zip(latents.chunk(workers.count), tokens.chunk(workers.count)))
        loss = workers.backward(loss_of, shares, model.parameters())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        run.step += 1
        average.update(model, run.step)
        mean_loss += (loss - mean_loss) * max(0.01, 1 / (run.step - first))
        if run.step % 50 == 0:
            run.log(loss=round(mean_loss, 4), rate=round(rate, 6))
        run.save(parts, config=model.config)
    run.save(parts, config=model.config, force=True)


if __name__ == '__main__':
    main()
