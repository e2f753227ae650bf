"""The networks of Stable Diffusion 1.5's and SDXL's size with random weights, for the programs beside it."""

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

MODELS = ("sd15", "sdxl")


def unet(model: str = "sd15") -> UNet2DConditionModel:
    torch.manual_seed(0)
    if model == "sd15":
        return UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8).eval()
    return UNet2DConditionModel(
        sample_size=128,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        block_out_channels=[320, 640, 1280],
        transformer_layers_per_block=[1, 2, 10],
        attention_head_dim=[5, 10, 20],
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    ).eval()


def vae(model: str = "sd15") -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[128, 256, 512, 512],
        layers_per_block=2,
        latent_channels=4,
        scaling_factor={"sd15": 0.18215, "sdxl": 0.13025}[model],
    ).eval()


def unet_inputs(size: int, dtype: torch.dtype, model: str = "sd15") -> dict[str, torch.Tensor | dict]:
    """What the UNet takes for both passes of classifier-free guidance, for images of size x size."""
    torch.manual_seed(1)
    inputs = {
        "sample": torch.randn(2, 4, size // 8, size // 8, dtype=dtype),
        "timestep": torch.full((2,), 500, dtype=torch.int64),
        "encoder_hidden_states": torch.randn(2, 77, 768 if model == "sd15" else 2048, dtype=dtype),
    }
    if model == "sdxl":
        sizes = torch.tensor([[size, size, 0, 0, size, size]] * 2, dtype=dtype)
        inputs["added_cond_kwargs"] = {"text_embeds": torch.randn(2, 1280, dtype=dtype), "time_ids": sizes}
    return inputs
