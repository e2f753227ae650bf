# PyPI `webuiapi` and `openai`.

import base64
import io
import sys
from urllib.parse import urlparse

import openai
import webuiapi
from PIL import Image

url, path = sys.argv[1], sys.argv[2]
address = urlparse(url)
apple = Image.open(path)
api = webuiapi.WebUIApi(host=address.hostname, port=address.port, sampler="Euler a", steps=3)
api.set_auth("name", "word")
request = {"prompt": "a red apple", "negative_prompt": "a pear", "seed": 7, "width": 64, "height": 64}

result = api.txt2img(**request, batch_size=2, n_iter=2)
assert [image.size for image in result.images] == [(64, 64)] * 4
assert result.info["all_seeds"] == [7, 8, 9, 10], result.info
assert result.info["sd_model_name"] == "emoji-64"
large = api.txt2img(**request, enable_hr=True, hr_scale=2, hr_upscaler=webuiapi.HiResUpscaler.Latent)
assert large.image.size == (128, 128)
again = api.img2img(images=[apple], **request, denoising_strength=0.5)
assert again.image.size == (64, 64)
masked = api.img2img(images=[apple], mask_image=apple.convert("L"), inpainting_fill=1, **request)
assert masked.image.size == (64, 64)
extra = api.extra_single_image(image=apple, upscaler_1=webuiapi.Upscaler.Lanczos, upscaling_resize=1.5)
assert extra.image.size == (96, 96)
batch = api.extra_batch_images(images=[apple, apple], upscaler_1=webuiapi.Upscaler.Lanczos, upscaling_resize=2)
assert [image.size for image in batch.images] == [(128, 128)] * 2
assert api.png_info(result.image).info.startswith("a red apple\nNegative prompt: a pear\nSteps: 3")
unit = webuiapi.ControlNetUnit(image=apple, module="canny", model="None")
assert len(api.txt2img(**request, controlnet_units=[unit]).images) == 1

options = api.get_options()
api.set_options(options)
api.util_set_model("emoji-64")
assert api.util_get_current_model() == "emoji-64.gguf"
api.util_wait_for_ready(check_interval=0.1)
assert api.get_progress()["progress"] == 0
api.interrupt()
api.skip()
api.refresh_checkpoints()
assert "Euler a" in api.util_get_sampler_names()
assert "Automatic" in [one["label"] for one in api.get_schedulers()]
for name in ["sd_vae", "upscalers", "latent_upscale_modes", "loras", "hypernetworks", "face_restorers"]:
    assert isinstance(getattr(api, f"get_{name}")(), list), name
for name in ["cmd_flags", "memory", "scripts", "embeddings"]:
    assert isinstance(getattr(api, f"get_{name}")(), dict), name
assert api.get_realesrgan_models() == [] and api.get_prompt_styles() == []
assert api.controlnet_version() == 3 and api.controlnet_model_list() == []
assert len(api.controlnet_detect(images=[apple], module="canny").images) == 1
try:
    api.txt2img(**request, sampler_name="none such")
    raise AssertionError("an unknown sampler was taken")
except RuntimeError as error:
    assert error.args[0] == 404, error

client = openai.OpenAI(base_url=f"{url}/v1", api_key="key")
model = client.models.list().data[0].id
made = client.images.generate(model=model, prompt="a red apple", size="64x64", extra_body={"steps": 3, "seed": 7})
assert Image.open(io.BytesIO(base64.b64decode(made.data[0].b64_json))).size == (64, 64)
types = [event.type for event in client.images.generate(model=model, prompt="x", stream=True, partial_images=1)]
assert types[-1] == "image_generation.completed", types
with open(path, "rb") as file:
    assert len(client.images.edit(model=model, image=file, prompt="a red apple").data) == 1
try:
    client.images.generate(model="none", prompt="x")
    raise AssertionError("an unknown model was taken")
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error
