"""The networks of Stable Diffusion 1.5's size with random weights, for the programs beside it that time or export them."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel


def unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8).eval()


def vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[128, 256, 512, 512],
        layers_per_block=2,
        latent_channels=4,
    ).eval()


def unet_inputs(size: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents, timesteps and hidden states of both passes of classifier-free guidance, for images of size x size."""
    torch.manual_seed(1)
    cells = size // 8
    return (
        torch.randn(2, 4, cells, cells, dtype=dtype),
        torch.full((2,), 500, dtype=torch.int64),
        torch.randn(2, 77, 768, dtype=dtype),
    )
