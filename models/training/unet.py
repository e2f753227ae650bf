"""The denoising UNet of latent diffusion: modules that carry the tensor names of an SD 1.x checkpoint."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from attention import attend


def timestep_embedding(timesteps, width):
    """Cosines, then sines, of the timestep at width / 2 frequencies from 1 to 1/10000."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32, device=timesteps.device) / half)
    angles = timesteps[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def zeroed(layer):
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class ResBlock(nn.Module):
    def __init__(self, inputs, outputs, embedding):
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs))
        self.out_layers = nn.Sequential(nn.GroupNorm(32, outputs), nn.SiLU(), nn.Identity(),
                                        zeroed(nn.Conv2d(outputs, outputs, 3, padding=1)))
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, embedding, context):
        h = self.in_layers(x) + self.emb_layers(embedding)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Attention(nn.Module):
    def __init__(self, width, context_width, heads):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def forward(self, x, context):
        q, k, v = (t.unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for t in (self.to_q(x), self.to_k(context), self.to_v(context)))
        return self.to_out(attend(q, k, v).transpose(1, 2).flatten(2))


class GatedGelu(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(GatedGelu(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x):
        return self.net(x)


class TransformerBlock(nn.Module):
    def __init__(self, width, context_width, heads):
        super().__init__()
        self.attn1, self.attn2 = Attention(width, width, heads), Attention(width, context_width, heads)
        self.ff = FeedForward(width)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x, context):
        h = self.norm1(x)
        x = x + self.attn1(h, h)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    def __init__(self, width, context_width, heads):
        super().__init__()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in, self.proj_out = nn.Conv2d(width, width, 1), zeroed(nn.Conv2d(width, width, 1))
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width, context_width, heads)])

    def forward(self, x, embedding, context):
        h = self.proj_in(self.norm(x))
        tokens = self.transformer_blocks[0](h.flatten(2).transpose(1, 2), context)
        return x + self.proj_out(tokens.transpose(1, 2).unflatten(2, x.shape[2:]))


class Input(nn.Conv2d):
    def forward(self, x, embedding, context):
        return super().forward(x)


class Downsample(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x, embedding, context):
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x, embedding, context):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode='nearest'))


class Block(nn.ModuleList):
    """Layers that run one after the other, each given the time embedding and the text."""

    def forward(self, x, embedding, context):
        for layer in self:
            x = layer(x, embedding, context)
        return x


class UNet(nn.Module):
    """Noise prediction [batch, 4, height, width] from noisy latents, timesteps [batch] and text [batch, 77, context]."""

    def __init__(self, width=64, multipliers=(1, 2, 2, 2), context_width=64, heads=8, latent_channels=4):
        super().__init__()
        self.config = {'width': width, 'multipliers': list(multipliers), 'context_width': context_width}
        self.width, embedding = width, 4 * width
        widths = [width * m for m in multipliers]
        deepest = len(widths) - 1

        def layers(inputs, outputs, level):
            block = [ResBlock(inputs, outputs, embedding)]
            return block if level == deepest else block + [SpatialTransformer(outputs, context_width, heads)]

        self.time_embed = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.input_blocks = nn.ModuleList([Block([Input(latent_channels, width, 3, padding=1)])])
        skips, current = [width], width
        for level, outputs in enumerate(widths):
            for _ in range(2):
                self.input_blocks.append(Block(layers(current, outputs, level)))
                current = outputs
                skips.append(current)
            if level < deepest:
                self.input_blocks.append(Block([Downsample(current)]))
                skips.append(current)
        self.middle_block = Block([ResBlock(current, current, embedding),
                                   SpatialTransformer(current, context_width, heads),
                                   ResBlock(current, current, embedding)])
        self.output_blocks = nn.ModuleList()
        for level in range(deepest, -1, -1):
            for i in range(3):
                block = layers(current + skips.pop(), widths[level], level)
                current = widths[level]
                if level > 0 and i == 2:
                    block.append(Upsample(current))
                self.output_blocks.append(Block(block))
        self.out = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), zeroed(nn.Conv2d(width, latent_channels, 3, padding=1)))

    def forward(self, latents, timesteps, context):
        embedding = self.time_embed(timestep_embedding(timesteps, self.width))
        x, skips = latents, []
        for block in self.input_blocks:
            x = block(x, embedding, context)
            skips.append(x)
        x = self.middle_block(x, embedding, context)
        for block in self.output_blocks:
            x = block(torch.cat([x, skips.pop()], dim=1), embedding, context)
        return self.out(x)
