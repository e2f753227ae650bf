"""What AUTOMATIC1111's web UI reads of the generation parameters that this package writes.

usage: npm run build:ts && python test/reference/infotext.py WEBUI     (a checkout of stable-diffusion-webui 1.10)

Writes, beside this file, infotext.json: parameters, the text that formatParameters makes of them, and what parse_generation_parameters
in WEBUI/modules/infotext_utils.py reads back of that text. Its functions are run without the rest of the web UI; settings are the defaults
that keep prompts as they are.
"""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
NAMES = {"re_param_code", "re_param", "re_imagesize", "unquote", "restore_old_hires_fix_params", "parse_generation_parameters"}
PLAIN = {
    "prompt": "a red apple", "negativePrompt": "blurry", "steps": 20, "sampler": "dpm++2m", "scheduler": "karras", "cfgScale": 7.5,
    "seed": 5, "width": 64, "height": 48, "model": "m", "clipSkip": 2, "rng": "cuda", "version": "node-diffusion 0.1.0",
}
CASES = [
    {},
    {"negativePrompt": ""},
    {"prompt": "", "negativePrompt": ""},
    {"prompt": "one\ntwo\n\nfour", "negativePrompt": "five\n\nsix"},
    {"prompt": " a red apple\n", "negativePrompt": "\tblurry "},
    {"prompt": "a\n  indented\nline ", "negativePrompt": "a\r\nb"},
    {"prompt": "a\nNegative prompt: b", "negativePrompt": "c"},
    {"prompt": "Negative prompt: b", "negativePrompt": ""},
    {"prompt": "a", "negativePrompt": "b\nNegative prompt: c\n"},
    {"prompt": "a\nSteps: 1, Sampler: x, Seed: 2, Size: 1x1", "negativePrompt": "Steps: 1, Sampler: x, Seed: 2"},
    {"prompt": 'says "no, never": \\ and leaves\n', "negativePrompt": '"'},
    {"prompt": "りんご 🍎\nÄpfel", "negativePrompt": "é"},
    *({"model": model} for model in [
        '12" dolls', '"quoted"', '"quoted" and not', '"', "a, b: c", "a\\", "a\\, b", "x\ny", " edges ", "ünd 🍎", "tab\there", "",
    ]),
    {"sampler": "euler_a", "scheduler": "discrete", "tileable": True, "eta": 0.5, "strength": 0.75},
    {"hires": {"size": "128x96", "steps": 10, "upscaler": "Latent (nearest)"}, "strength": 0.5, "sigmas": [14.6, 2.5, 0]},
    {"loras": [{"path": "/l/a: b, c.safetensors", "weight": 0.8, "applied": 2, "tensors": 2}]},
]
FORMAT = """
import { formatParameters } from './dist/lib/image/parameters.js';
let cases = '';
for await (const part of process.stdin) cases += part;
console.log(JSON.stringify(JSON.parse(cases).map((parameters) => formatParameters(parameters))));
"""


def web_ui(checkout: str):
    """parse_generation_parameters of a checkout."""
    tree = ast.parse((Path(checkout) / "modules/infotext_utils.py").read_text())
    wanted = [node for node in tree.body if names(node) & NAMES]
    settings = SimpleNamespace(infotext_styles="Ignore", infotext_skip_pasting=[], use_old_hires_fix_width_height=False)
    scope = {
        "re": re, "json": json,
        "shared": SimpleNamespace(opts=settings),
        "infotext_versions": SimpleNamespace(backcompat=lambda fields: None),
    }
    exec(compile(ast.Module(wanted, []), "infotext_utils.py", "exec"), scope)
    return scope["parse_generation_parameters"]


def names(node: ast.stmt) -> set:
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    return {target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)}


parse = web_ui(sys.argv[1])
cases = [{**PLAIN, **case} for case in CASES]
result = subprocess.run(["node", "--input-type=module", "-e", FORMAT], input=json.dumps(cases), capture_output=True, text=True, check=True, cwd=HERE.parent.parent)
texts = json.loads(result.stdout)
entries = [{"parameters": case, "text": text, "read": parse(text)} for case, text in zip(cases, texts)]
(HERE / "infotext.json").write_text(json.dumps(entries, ensure_ascii=False, indent=1) + "\n")
