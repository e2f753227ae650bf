"""Golden stages of edited and alternating prompts, from AUTOMATIC1111's web UI.

usage: python test/reference/editing.py path/to/stable-diffusion-webui/modules/prompt_parser.py     (lark 1.3.1)

Asks its `get_learned_conditioning_prompt_schedules` for prompts written by hand and for random strings of the characters that mean
something (which takes minutes), and writes editing.json: [prompt, steps, [[end, text], ...]] each. Neighbours of equal text are joined, and random
prompts that give their own text alone are left out but for a few.
"""

import importlib.util
import json
import random
import sys
from pathlib import Path

WRITTEN = [
    "", "test", "a [b:3]", "a [b: 3]", "a [[[b]]:2]", "[(a:2):3]", "a [b : c : 1] d", "a[b:[c:d:2]:1]e", "a [unbalanced",
    "a [b:.5] c", "a [{b|d{:.5] c", "((a][:b:c [d:3]", "[a|(b:1.1)]", "[fe|]male", "[fe|||]male", "(x [b:3])", "(x [b:3]",
    "x [b:3]) y", "[[a:b:3]", "[a:b:3]]", "[a:[b:3]", "([a:b:3)", "[a:b)c:3]", "[a:b:c:3]", "[[a:b]:c:3]", "(a:b:[c:d:3])", "[a|b:3]",
    "a|b [c:d:3]", "[:3]", "[::3]", "[3]", "[]", "[:]", "[::]", "[a:b:-2]", "[a:b:1.0]", "[a:b:1e1]", "[a:b:1.e-1]", "[a:b:1e-1]",
    "[a:b:0]", "[a:b:0.05]", "[a:b:-.05]", "[a:b:3 4]", "[a: b :\t3\n]", "[a\\:b:c:3]", "a\\", "[|]", "[|a]", "[||a]", "[a|[b:c:4]]",
    "[[a|b]:[c|d|e]:5]", "[a:b:+3]", "[:a:3]", "[a:b:3:4]", "(a[b:c:3]:1.2)", "(a:b[c:d:3])", "[a[b:c:3]]", "[a:b:NaN]",
    "[a:b:inf]", "[a:.]", "[a:5.]", "[a:.5]", "[a:20]", "[a:1.5]", "[a:b\n:3]", "[(a|b):c:3]", "[a(b|c)]", "[a:b:3e]", "[a:b: 3.2 ]",
    "[1:2:3]", "[1:2 :3]", "[ :1]", "[\\]:3]", "\\[a:b:3\\]", "[a:b:3\\]", "[a|b|c", "]a|b[", "[a:b:１]",
    "[a:b:\ufeff3]", "a \\\nb [c:3]", "[a:b:99999999999999999999]", "[a\\|b|c]", "a BREAK [b:c BREAK d:.3]", "[[[a|b]|c]|d]",
    "[a:b:0.29][c:d:.58]", "[a:[b:[c:[d:.8]:.6]:.4]:.2]", "[[a:b:2]:c:5]", "[[a:b:7]:c:5]", "[a:[b::2]:4]", "[猫:🐶:0.5]",
]


def joined(schedule):
    stages = []
    for end, text in schedule:
        if stages and stages[-1][1] == text:
            stages.pop()
        stages.append([end, text])
    return stages


def main():
    spec = importlib.util.spec_from_file_location("prompt_parser", Path(sys.argv[1]))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stages = lambda prompt, steps: joined(module.get_learned_conditioning_prompt_schedules([prompt], steps)[0])
    goldens = [[prompt, steps, stages(prompt, steps)] for prompt in WRITTEN for steps in (10, 7)]
    rng, plain = random.Random(5), 0
    pieces = ["[", "[", "]", "]", "(", ")", ":", ":", "|", "a", "b ", "3", "0.4", " ", "\\"]
    while len(goldens) < 700:
        prompt = "".join(rng.choices(pieces, k=rng.randint(3, 16)))
        result = stages(prompt, 6)
        plain += len(result) == 1
        if len(result) > 1 or plain < 100:
            goldens.append([prompt, 6, result])
    path = Path(__file__).with_name("editing.json")
    path.write_text("[\n" + ",\n".join(json.dumps(golden) for golden in goldens) + "\n]\n")


if __name__ == "__main__":
    main()
