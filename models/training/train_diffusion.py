"""Stage 3: train the UNet and the text encoder together on the cached examples.

    python train_diffusion.py --work WORK --minutes 60 [--device cuda]

Writes WORK/diffusion/state.pt; started again, it goes on from there.
"""

import argparse
from pathlib import Path

import torch

from captions import all_words
from diffusion import alphas_cumulative, noise_loss
from optimizer import make_optimizers, set_rate
from parallel import Workers
from images import BACKGROUNDS, load_entries
from progress import Average, Run
from text_encoder import TextEncoder, load_tokenizer, rows_of, tokenize
from unet import UNet

EMPTY_SHARE = 0.1  # of the captions, for classifier-free guidance
SHARES = (0.65, 0.15, 0.2)  # of pictures on white, of pictures on other colours, of scenes


class Model(torch.nn.Module):
    """UNet and text encoder, the two networks that learn from captions."""

    def __init__(self, vocabulary_rows, text, unet):
        super().__init__()
        self.text = TextEncoder(vocabulary_rows, **text)
        self.unet = UNet(context_width=text['width'], **unet)
        self.config = {'text': text, 'unet': unet}


class Examples:
    """Batches of latents with the tokens of one of the captions each."""

    def __init__(self, work, device):
        cached = torch.load(work / 'examples.pt', weights_only=True)
        self.latents, self.tokens = cached['latents'].to(device), cached['tokens'].to(device)
        self.empty = tokenize(load_tokenizer(work), [''])[0].int().to(device)
        self.weights = torch.cat([torch.full((count,), share / count) for share, count in zip(SHARES, cached['counts'])])

    def draw(self, count):
        """Latents [count, 4, height, width] and tokens [count, 77]."""
        chosen = torch.multinomial(self.weights, count, replacement=True)
        tokens = self.tokens[chosen, torch.randint(self.tokens.shape[1], (count,))]
        tokens[torch.rand(count) < EMPTY_SHARE] = self.empty
        return self.latents[chosen], tokens


def used_tokens(work):
    """Sorted ids of all tokens that captions can hold, start and end included."""
    return tokenize(load_tokenizer(work), all_words(load_entries(work), BACKGROUNDS)).unique()


def is_matrix(name, parameter):
    """Muon's share: hidden matrices and kernels, not the embeddings and not the first and last convolution."""
    return parameter.ndim >= 2 and not any(
        part in name for part in ('embedding.weight', 'unet.out.', 'input_blocks.0.', 'time_embed.0'))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--minutes', type=float, default=60, help='training time per thread (default 60)')
    arguments.add_argument('--batch', type=int, default=128)
    arguments.add_argument('--rate', type=float, default=3e-3, help='peak learning rate')
    arguments.add_argument('--width', type=int, default=96, help='channels of the first UNet level')
    arguments.add_argument('--multipliers', type=int, nargs='+', default=[1, 1, 1])
    arguments.add_argument('--text-width', type=int, default=64)
    arguments.add_argument('--text-layers', type=int, default=2)
    arguments.add_argument('--threads', type=int, default=2)
    arguments.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    arguments.add_argument('--folder', default='diffusion', help='folder of the run below WORK')
    options = arguments.parse_args()
    workers = Workers(options.threads, options.device)
    torch.manual_seed(0)
    examples, alphas = Examples(options.work, options.device), alphas_cumulative().to(options.device)
    model = Model(rows_of(used_tokens(options.work)), {'width': options.text_width, 'layers': options.text_layers},
                  {'width': options.width, 'multipliers': options.multipliers}).to(options.device)
    average = Average(model)
    model.to(memory_format=torch.channels_last)
    optimizers = make_optimizers([model], options.rate, is_matrix, workers, weight_decay=0.01)
    run = Run(options.work / options.folder, options.minutes, options.threads, options.device)
    parts = {'model': model, 'average': average, **{f'optimizer{i}': o for i, o in enumerate(optimizers)}}
    run.resume(parts)
    torch.manual_seed(run.step)
    counts = {name: sum(p.numel() for p in net.parameters()) for name, net in model.named_children()}
    print(f'{len(examples.latents)} examples, parameters {counts}', flush=True)

    @torch.compile
    def loss_of(latents, tokens):
        with torch.autocast(latents.device.type, torch.bfloat16):
            return noise_loss(model.unet, latents, model.text(tokens), alphas)

    mean_loss, first = 0.0, run.step
    while run.progress < 1:
        rate = set_rate(optimizers, options.rate, run.progress)
        latents, tokens = examples.draw(options.batch)
        shares = zip(latents.chunk(workers.count), tokens.chunk(workers.count))
        loss = workers.backward(lambda share: loss_of(*share), shares, model.parameters())
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
