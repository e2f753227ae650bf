"""Golden numbers for depth networks, from transformers' DPTForDepthEstimation, and for the way of a picture into and out of them.

usage: npm run build:ts && python test/reference/depth.py     (transformers 5.23.0, torch 2.15.0, Pillow 12)

The networks are those that the tests write (test/support/tiny-depth.ts); a node process writes them here too. Every output is compared
with float64 first. Writes depth.safetensors beside this file: pictures of 0..1, also of sizes other than the network's own, and what
each network makes of them; a picture in bytes as DPTImageProcessor resizes it, and numbers as torch resizes them bicubically.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import DPTConfig, DPTForDepthEstimation
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

HERE = Path(__file__).parent
SUPPORT = (HERE / "../../dist/test/support/tiny-depth.js").resolve().as_uri()
SIZES = {"own": (64, 64), "wide": (32, 96)}

COMMON = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 1, "intermediate_size": 128, "patch_size": 16,
          "backbone_out_indices": [0, 1, 2, 3], "fusion_hidden_size": 32, "readout_type": "project", "attn_implementation": "eager"}
BACKBONE = {"model_type": "bit", "embedding_size": 32, "hidden_sizes": [128, 128, 128], "depths": [1, 2, 1], "num_groups": 32,
            "layer_type": "bottleneck", "global_padding": "same", "embedding_dynamic_padding": True,
            "out_features": ["stage1", "stage2", "stage3"]}


def config(hybrid, height, width):
    sizes = {"image_size": [height, width]}
    if hybrid:
        sizes |= {"is_hybrid": True, "backbone_config": dict(BACKBONE), "backbone_featmap_shape": [1, 128, 4, 4],
                  "neck_hidden_sizes": [128, 128, 24, 40], "reassemble_factors": [1, 1, 1, 0.5]}
    else:
        sizes |= {"neck_hidden_sizes": [16, 24, 32, 40]}
    return DPTConfig(**COMMON, **sizes)


def state(hybrid):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "depth.safetensors")
        script = f"""import {{ tinyDpt }} from {json.dumps(SUPPORT)};
            import {{ writeSafetensors }} from {json.dumps(SUPPORT.replace("tiny-depth", "safetensors"))};
            writeSafetensors({json.dumps(str(path))}, tinyDpt({{ hybrid: {json.dumps(hybrid)} }}));"""
        subprocess.run(["node", "--input-type=module", "-e", script], check=True)
        return load_file(path)


def network_for(hybrid, tensors, height, width):
    """The network as it takes images of that size: by itself it takes those of its own, and square ones."""
    network = DPTForDepthEstimation(config(hybrid, 64, 64)).eval()
    network.load_state_dict(tensors, strict=True)
    stage = network.neck.reassemble_stage
    plain = stage.forward
    stage.forward = lambda states, *_: plain(states, height // 16, width // 16)
    network.dpt.embeddings.image_size = (height, width)
    return network


def evaluate(hybrid, tensors, image):
    network = network_for(hybrid, tensors, *image.shape[2:])
    pixels = (image - 0.5) / 0.5
    return network(pixels).predicted_depth, network.double()(pixels.double()).predicted_depth


def processor_of_tiny(**options):
    return DPTImageProcessorPil(size={"height": 64, "width": 64}, keep_aspect_ratio=True, ensure_multiple_of=32, **options)


def resized(goldens):
    """A image of 90x70 to a shorter side of 64 in multiples of 32, as MiDaS and transformers do, and numbers to another size."""
    picture = torch.randint(0, 256, (70, 90, 3), dtype=torch.uint8)
    smooth = Image.fromarray(picture.numpy()).resize((9, 7)).resize((90, 70), Image.Resampling.BICUBIC)
    goldens["image"] = torch.frombuffer(bytearray(smooth.tobytes()), dtype=torch.uint8).reshape(70, 90, 3).float()
    processor = processor_of_tiny(do_rescale=False, do_normalize=False)
    pixels = processor(smooth, return_tensors="pt").pixel_values[0]
    goldens["image at network size"] = pixels.permute(1, 2, 0).float().contiguous()
    print("image at network size", tuple(pixels.shape))
    # Of the resized picture: levels that differ by rounding make a difference to a network of random weights.
    small = Image.fromarray(pixels.permute(1, 2, 0).to(torch.uint8).numpy())
    inputs = processor_of_tiny()(small, return_tensors="pt")
    network = network_for(True, state(True), *inputs.pixel_values.shape[2:])
    [result] = processor_of_tiny().post_process_depth_estimation(network(**inputs), target_sizes=[(64, 96)])
    goldens["depth of image"] = result["predicted_depth"].contiguous()
    numbers = goldens["numbers"] = torch.rand(12, 20)
    for height, width in ((31, 50), (5, 9)):
        goldens[f"numbers at {width}x{height}"] = torch.nn.functional.interpolate(
            numbers[None, None], size=(height, width), mode="bicubic", align_corners=False)[0, 0].contiguous()


@torch.no_grad()
def main():
    torch.manual_seed(5)
    goldens = {name: torch.rand(1, 3, *size) for name, size in SIZES.items()}
    for kind, hybrid in (("dpt", False), ("dpt-hybrid", True)):
        tensors = state(hybrid)
        for name in SIZES:
            output, exact = evaluate(hybrid, tensors, goldens[name])
            error = ((output.double() - exact).abs().max() / exact.abs().max()).item()
            zero = (output == 0).float().mean().item()
            print(f"{kind} {name} {tuple(output.shape)} {error:.1e} deviation {output.std():.3f}, {zero:.0%} at zero")
            assert error < 1e-5 and zero < 0.5
            goldens[f"{kind} {name}"] = output.contiguous()
    resized(goldens)
    save_file(goldens, HERE / "depth.safetensors")


if __name__ == "__main__":
    main()
