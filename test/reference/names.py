"""Pairs the tensor names of diffusers and transformers with the original (LDM) ones: writes names.txt.

usage: python names.py > names.txt      (diffusers 0.42.1, transformers 5.23.0, torch)

The original names come from the generator below. diffusers' own converter turns a checkpoint of them into its names; every
tensor carries a number, so the pairs can be read off. The result must have exactly the names and shapes of the model that
diffusers or transformers builds from the configuration, which proves the generator as well.
"""
import os
import re

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from transformers import CLIPTextConfig, CLIPTextModel


class Shapes(dict):
    """Names and shapes of an original checkpoint."""

    def linear(self, name, out, inp, bias=True):
        self[name + ".weight"] = (out, inp)
        if bias:
            self[name + ".bias"] = (out,)

    def conv(self, name, out, inp, size):
        self[name + ".weight"] = (out, inp, size, size)
        self[name + ".bias"] = (out,)

    def norm(self, name, width):
        self[name + ".weight"] = self[name + ".bias"] = (width,)


def ldm_unet(c):
    t, widths, layers = Shapes(), c["block_out_channels"], c["layers_per_block"]
    time = widths[0] * 4

    def resnet(name, inp, out):
        t.norm(name + ".in_layers.0", inp)
        t.conv(name + ".in_layers.2", out, inp, 3)
        t.linear(name + ".emb_layers.1", out, time)
        t.norm(name + ".out_layers.0", out)
        t.conv(name + ".out_layers.3", out, out, 3)
        if inp != out:
            t.conv(name + ".skip_connection", out, inp, 1)

    def transformer(name, width, depth):
        project = (lambda n: t.linear(n, width, width)) if c["use_linear_projection"] else (lambda n: t.conv(n, width, width, 1))
        t.norm(name + ".norm", width)
        project(name + ".proj_in")
        for k in range(depth):
            block = f"{name}.transformer_blocks.{k}"
            for attn, context in (("attn1", width), ("attn2", c["cross_attention_dim"])):
                t.linear(f"{block}.{attn}.to_q", width, width, False)
                t.linear(f"{block}.{attn}.to_k", width, context, False)
                t.linear(f"{block}.{attn}.to_v", width, context, False)
                t.linear(f"{block}.{attn}.to_out.0", width, width)
            t.linear(f"{block}.ff.net.0.proj", width * 8, width)
            t.linear(f"{block}.ff.net.2", width, width * 4)
            for n in (1, 2, 3):
                t.norm(f"{block}.norm{n}", width)
        project(name + ".proj_out")

    t.linear("time_embed.0", time, widths[0])
    t.linear("time_embed.2", time, time)
    if c.get("addition_embed_type") == "text_time":
        t.linear("label_emb.0.0", time, c["projection_class_embeddings_input_dim"])
        t.linear("label_emb.0.2", time, time)
    t.conv("input_blocks.0.0", widths[0], 4, 3)
    depths, attends = c["transformer_layers_per_block"], ["CrossAttn" in b for b in c["down_block_types"]]
    index, width, skips = 1, widths[0], [widths[0]]
    for level, out in enumerate(widths):
        for _ in range(layers):
            resnet(f"input_blocks.{index}.0", width, out)
            if attends[level]:
                transformer(f"input_blocks.{index}.1", out, depths[level])
            width, index = out, index + 1
            skips.append(width)
        if level < len(widths) - 1:
            t.conv(f"input_blocks.{index}.0.op", width, width, 3)
            index += 1
            skips.append(width)
    resnet("middle_block.0", width, width)
    transformer("middle_block.1", width, depths[-1])
    resnet("middle_block.2", width, width)
    index = 0
    for level in reversed(range(len(widths))):
        for place in range(layers + 1):
            out = widths[level]
            resnet(f"output_blocks.{index}.0", width + skips.pop(), out)
            width = out
            if attends[level]:
                transformer(f"output_blocks.{index}.1", out, depths[level])
            if level and place == layers:
                t.conv(f"output_blocks.{index}.{2 if attends[level] else 1}.conv", out, out, 3)
            index += 1
    t.norm("out.0", widths[0])
    t.conv("out.2", 4, widths[0], 3)
    return t


def ldm_vae(c):
    t, widths, layers, z = Shapes(), c["block_out_channels"], c["layers_per_block"], c["latent_channels"]

    def resnet(name, inp, out):
        t.norm(name + ".norm1", inp)
        t.conv(name + ".conv1", out, inp, 3)
        t.norm(name + ".norm2", out)
        t.conv(name + ".conv2", out, out, 3)
        if inp != out:
            t.conv(name + ".nin_shortcut", out, inp, 1)

    def middle(half, width):
        resnet(half + ".mid.block_1", width, width)
        t.norm(half + ".mid.attn_1.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            t.conv(f"{half}.mid.attn_1.{part}", width, width, 1)
        resnet(half + ".mid.block_2", width, width)

    width = widths[0]
    t.conv("encoder.conv_in", width, 3, 3)
    for level, out in enumerate(widths):
        for k in range(layers):
            resnet(f"encoder.down.{level}.block.{k}", width, out)
            width = out
        if level < len(widths) - 1:
            t.conv(f"encoder.down.{level}.downsample.conv", width, width, 3)
    middle("encoder", width)
    t.norm("encoder.norm_out", width)
    t.conv("encoder.conv_out", 2 * z, width, 3)
    t.conv("decoder.conv_in", width, z, 3)
    middle("decoder", width)
    for level in reversed(range(len(widths))):
        for k in range(layers + 1):
            resnet(f"decoder.up.{level}.block.{k}", width, widths[level])
            width = widths[level]
        if level:
            t.conv(f"decoder.up.{level}.upsample.conv", width, width, 3)
    t.norm("decoder.norm_out", width)
    t.conv("decoder.conv_out", 3, width, 3)
    t.conv("quant_conv", 2 * z, 2 * z, 1)
    t.conv("post_quant_conv", z, z, 1)
    return t


def pairs(shapes, prefix, convert, model):
    """[(diffusers name, original name)], after a check of all names and shapes against the model itself."""
    names = list(shapes)
    # Numbers without memory behind them: only names and shapes count.
    checkpoint = {prefix + n: torch.tensor(float(i)).expand(shapes[n]) for i, n in enumerate(names)}
    converted = convert(checkpoint)
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in converted.items()} == expected
    result = sorted((name, names[int(value.flatten()[0])]) for name, value in converted.items())
    assert len({original for _, original in result}) == len(names)
    return result


def unet_pairs(**config):
    config = {"layers_per_block": 2, "cross_attention_dim": 768, "use_linear_projection": False, "attention_head_dim": 8,
              "transformer_layers_per_block": [1] * len(config["block_out_channels"]), **config}
    config["up_block_types"] = [b.replace("Down", "Up") for b in reversed(config["down_block_types"])]
    with torch.device("meta"):
        model = UNet2DConditionModel(norm_num_groups=16, **config)
    return pairs(ldm_unet(config), "model.diffusion_model.", lambda s: convert_ldm_unet_checkpoint(s, config), model)


def vae_pairs(widths, layers=2):
    config = {"block_out_channels": widths, "layers_per_block": layers, "latent_channels": 4,
              "down_block_types": ["DownEncoderBlock2D"] * len(widths), "up_block_types": ["UpDecoderBlock2D"] * len(widths)}
    with torch.device("meta"):
        model = AutoencoderKL(norm_num_groups=16, **config)
    return pairs(ldm_vae(config), "first_stage_model.", lambda s: convert_ldm_vae_checkpoint(s, config), model)


def text_pairs(layers):
    with torch.device("meta"):
        model = CLIPTextModel(CLIPTextConfig(num_hidden_layers=layers, hidden_size=32, intermediate_size=64, num_attention_heads=2))
    # The original checkpoints took the whole transformers model over, names and all, below `text_model.`.
    bare = [name.removeprefix("text_model.") for name in model.state_dict()]
    return [(name, "text_model." + name) for name in sorted(bare)]


def write(name, component, found, leaf_sets):
    """Prints the pairs as blocks (a repeated unit such as a residual block) times the leaves within a block."""
    print(f"model {name} {component}")
    blocks = {}
    for diffusers, original in found:
        match = re.match(r"(.*?\b(?:resnets|attentions|downsamplers|upsamplers|layers)\.\d+\.)", diffusers)
        blocks.setdefault(match.group(1) if match else "", []).append((diffusers, original))
    for block, members in blocks.items():
        common = os.path.commonprefix([original for _, original in members]) if block else ""
        common = common[: common.rfind(".") + 1]
        leaves = tuple((diffusers[len(block):], original[len(common):]) for diffusers, original in members)
        leaf_set = leaf_sets.setdefault(leaves, len(leaf_sets))
        print(f"block {block or '-'} {common or '-'} {leaf_set}")


def main():
    print("# Names of diffusers and of the original checkpoints, pair by pair; made by names.py.")
    print("# A model is a list of blocks: prefix of diffusers, original prefix ('-' for none), number of a set of leaves.")
    cross, plain, leaf_sets = "CrossAttnDownBlock2D", "DownBlock2D", {}
    write("sd15", "unet", unet_pairs(block_out_channels=[320, 640, 1280, 1280], down_block_types=[cross] * 3 + [plain]), leaf_sets)
    write("sd15", "vae", vae_pairs([128, 256, 512, 512]), leaf_sets)
    write("sd15", "text_encoder", text_pairs(12), leaf_sets)
    write("tiny", "unet", unet_pairs(block_out_channels=[32, 64], down_block_types=[plain, cross], layers_per_block=1,
                                     cross_attention_dim=32), leaf_sets)
    write("tiny", "vae", vae_pairs([32, 64], 1), leaf_sets)
    write("tiny", "text_encoder", text_pairs(2), leaf_sets)
    write("sdxl", "unet", unet_pairs(block_out_channels=[320, 640, 1280], down_block_types=[plain, cross, cross],
                                     transformer_layers_per_block=[1, 2, 10], cross_attention_dim=2048,
                                     use_linear_projection=True, addition_embed_type="text_time",
                                     addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816), leaf_sets)
    for leaves, number in leaf_sets.items():
        print(f"leaves {number}")
        for diffusers, original in leaves:
            print(f"leaf {diffusers} {original}")


if __name__ == "__main__":
    main()
