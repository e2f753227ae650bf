"""Stage 4: write the trained networks as one SD 1.x checkpoint.

    python export.py --work WORK --output emoji-64.safetensors [--type f32]
"""

import argparse
import json
import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from autoencoder import Autoencoder
from diffusion import SCALE_FACTOR
from images import load_pictures
from progress import Average
from train_diffusion import Model

UNET, TEXT, AUTOENCODER = 'model.diffusion_model.', 'cond_stage_model.transformer.text_model.', 'first_stage_model.'
TOKENS = 'embeddings.token_embedding.weight'
TYPES = {'f16': torch.float16, 'f32': torch.float32}


def averaged_model(state):
    """UNet and text encoder with the averaged weights of a training state."""
    average = Average(Model(state['model']['text.vocabulary_rows'], **state['config']))
    average.load_state_dict(state['average'])
    return average.module


def checkpoint_tensors(model, autoencoder, dtype):
    """All tensors of `dtype` under their SD 1.x names; the token embedding is written out for CLIP's whole vocabulary."""
    text = model.text.state_dict()
    text[TOKENS] = text[TOKENS][text.pop('vocabulary_rows')]
    parts = {UNET: model.unet.state_dict(), TEXT: text, AUTOENCODER: autoencoder}
    return {prefix + name: value.detach().to(dtype).contiguous()
            for prefix, tensors in parts.items() for name, value in tensors.items()}


@torch.no_grad()
def latent_rgb_projection(net, latents):
    """Least-squares map from a latent cell to the mean colour (-1..1) of the pixels that it decodes to, for previews without
    the decoder: a row for each channel, and a last one for a latent of 0."""
    colors = torch.nn.functional.avg_pool2d(net.decode(latents / SCALE_FACTOR).clamp(-1, 1), 8)
    cells = latents.movedim(1, -1).reshape(-1, latents.shape[1])
    cells = torch.cat([cells, torch.ones(len(cells), 1)], 1)
    return torch.linalg.lstsq(cells, colors.movedim(1, -1).reshape(-1, 3)).solution


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument('--work', type=Path, required=True)
    arguments.add_argument('--output', type=Path, required=True)
    arguments.add_argument('--type', choices=TYPES, default='f16')
    options = arguments.parse_args()
    state = torch.load(options.work / 'diffusion' / 'state.pt', map_location='cpu', weights_only=True)
    autoencoder = torch.load(options.work / 'autoencoder.pt', weights_only=True)
    tensors = checkpoint_tensors(averaged_model(state), autoencoder['weights'], TYPES[options.type])
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise SystemExit(f'a weight is not finite in {options.type}; nothing written')
    size = load_pictures(options.work).shape[-1]
    net = Autoencoder(**autoencoder['config'])
    net.load_state_dict(autoencoder['weights'])
    latents = torch.load(options.work / 'examples.pt', weights_only=True)['latents']
    projection = latent_rgb_projection(net.eval(), latents[::20])
    partial = options.output.with_suffix('.tmp')
    save_file(tensors, partial, metadata={
        'format': 'pt', 'modelspec.sai_model_spec': '1.0.0', 'modelspec.architecture': 'stable-diffusion-v1',
        'modelspec.implementation': 'https://github.com/CompVis/stable-diffusion',
        'modelspec.title': options.output.stem, 'modelspec.resolution': f'{size}x{size}',
        'modelspec.prediction_type': 'epsilon', 'modelspec.license': 'CC-BY-4.0',
        'latent_rgb_projection': json.dumps([[round(value, 4) for value in row] for row in projection.tolist()]),
        'modelspec.description': 'Trained on emoji pictures of Noto (Apache-2.0), Twemoji (CC-BY-4.0, graphics by '
                                 'Twitter and contributors) and Fluent (MIT, by Microsoft)',
    })
    os.replace(partial, options.output)
    print(f'{len(tensors)} tensors, {options.output.stat().st_size / 1e6:.1f} MB, step {state["step"]}')


if __name__ == '__main__':
    main()
