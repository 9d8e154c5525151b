# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/smollm2.json: what transformers makes of the real default model, from its GGUF in float32.

    third_party/install.sh --oracles
    .deps/venv/bin/python tests/golden/make_smollm2_golden.py

Token ids of a text, the negative log-likelihood of each (the first has none), and a chat as the model's own template
renders it.
"""

import json
import pathlib

import torch
import transformers

ROOT = pathlib.Path(__file__).parents[2]
MODEL = ROOT / ".deps/models/smollm2-135m-instruct.gguf"
TEXT = (
    "The keeper climbed the 112 steps twice a night: once at dusk, to light the lamp, and once before dawn, to see that "
    "it still burned. \u201cIt\u2019s not the wind,\u201d she wrote in 1903, \u201cit is the salt.\u201d Le caf\u00e9 \u00e9tait ferm\u00e9."
)
CHAT = [
    {"role": "system", "content": "You answer in one line."},
    {"role": "user", "content": "How many steps?"},
    {"role": "assistant", "content": "112."},
    {"role": "user", "content": "How often?"},
]


def main():
    where = dict(pretrained_model_name_or_path=MODEL.parent, gguf_file=MODEL.name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0].double()
    nll = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
    golden = {
        "transformers": transformers.__version__,
        "text": TEXT,
        "ids": ids,
        "nll": [round(x, 6) for x in nll.tolist()],
        "chat": CHAT,
        "rendered": tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True),
    }
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items())
    (pathlib.Path(__file__).parent / "smollm2.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


main()
