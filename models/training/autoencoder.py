"""AutoencoderKL of latent diffusion (Rombach et al. 2022): modules that carry the tensor names of an SD 1.x checkpoint."""

from torch import nn
from torch.nn import functional as F


def group_norm(channels):
    return nn.GroupNorm(32, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1, self.conv1 = group_norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = group_norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.nin_shortcut(x) if hasattr(self, 'nin_shortcut') else x) + h


class AttnBlock(nn.Module):
    """Self-attention with one head over all positions."""

    def __init__(self, channels):
        super().__init__()
        self.norm = group_norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x):
        batch, channels, height, width = x.shape
        h = self.norm(x)
        q, k, v = (layer(h).reshape(batch, 1, channels, height * width).transpose(2, 3)
                   for layer in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(batch, channels, height, width)
        return x + self.proj_out(h)


class Middle(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.block_1, self.attn_1, self.block_2 = ResnetBlock(channels, channels), AttnBlock(channels), ResnetBlock(channels, channels)

    def forward(self, x):
        return self.block_2(self.attn_1(self.block_1(x)))


class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode='nearest'))


class Level(nn.Module):
    """`blocks` residual blocks at one resolution, then an optional resampling under the given name."""

    def __init__(self, inputs, outputs, blocks, resample=None):
        super().__init__()
        self.block = nn.ModuleList(ResnetBlock(inputs if i == 0 else outputs, outputs) for i in range(blocks))
        self.resample = resample
        if resample:
            self.add_module(resample, {'downsample': Downsample, 'upsample': Upsample}[resample](outputs))

    def forward(self, x):
        for block in self.block:
            x = block(x)
        return getattr(self, self.resample)(x) if self.resample else x


class Encoder(nn.Module):
    def __init__(self, width, multipliers, blocks, latent_channels):
        super().__init__()
        widths = [width * m for m in multipliers]
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        last = len(widths) - 1
        self.down = nn.ModuleList(
            Level(widths[max(i - 1, 0)], widths[i], blocks, 'downsample' if i < last else None) for i in range(last + 1))
        self.mid = Middle(widths[-1])
        self.norm_out, self.conv_out = group_norm(widths[-1]), nn.Conv2d(widths[-1], 2 * latent_channels, 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    def __init__(self, width, multipliers, blocks, latent_channels):
        super().__init__()
        widths = [width * m for m in multipliers]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(latent_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList(
            Level(widths[min(i + 1, last)], widths[i], blocks, 'upsample' if i > 0 else None) for i in range(last + 1))
        self.norm_out, self.conv_out = group_norm(widths[0]), nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, z):
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class Autoencoder(nn.Module):
    """Pixels [batch, 3, height, width] in -1..1 <-> latents [batch, 4, height / 8, width / 8].

    `blocks` residual blocks a level in the encoder, one more in the decoder.
    """

    def __init__(self, width=32, multipliers=(1, 1, 2, 5), blocks=1, latent_channels=4):
        super().__init__()
        self.config = {'width': width, 'multipliers': list(multipliers), 'blocks': blocks,
                       'latent_channels': latent_channels}
        self.encoder = Encoder(width, multipliers, blocks, latent_channels)
        self.decoder = Decoder(width, multipliers, blocks + 1, latent_channels)
        self.quant_conv = nn.Conv2d(2 * latent_channels, 2 * latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)

    def moments(self, pixels):
        """Mean and log variance of the posterior."""
        mean, log_variance = self.quant_conv(self.encoder(pixels)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def decode(self, latents):
        return self.decoder(self.post_quant_conv(latents))
