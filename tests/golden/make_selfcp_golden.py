# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/selfcp: what SelfCP makes of segments over the tiny model in tests/golden/models/llama.

- `selfcp.safetensors`: the compressor, exactly the five tensors that `precis import --from selfcp` reads.
- `cases.json`: the ids of each case. The generator reads prefix, before, slots, suffix.
- `expected.safetensors`: for each case `<name>.` and
  `slots` [num_slots, hidden]; `tag_hidden` [num_tags, hidden] of every compression pass, before the connector;
  `logits` [num_rows, vocab] of the generator; `nll` [num_suffix] of every suffix id, the first one read off the row
  just before it (a slot); `loss` [1], their mean; and `gradient.<tensor>` of the loss for each of the five tensors.

Everything comes from one run in float64 and is stored as float32. Run make_model_golden.py first.

    .deps/venv/bin/python tests/golden/make_selfcp_golden.py
"""

import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "selfcp"
SEPARATOR = 3

# name: mode, ratio, lengths of prefix, before, segments, suffix
CASES = {
    "shorter_than_ratio": ("single", 12, 0, 0, [5], 7),
    "exactly_one_ratio": ("single", 12, 0, 0, [12], 7),
    "one_segment": ("single", 12, 0, 0, [37], 9),
    "many_tags": ("single", 4, 0, 0, [37], 9),
    "one_suffix_id": ("single", 16, 0, 0, [64], 1),
    "with_prefix": ("single", 8, 6, 0, [40], 9),
    "latter": ("single", 8, 5, 11, [32], 8),
    "cat": ("cat", 8, 0, 0, [24, 17, 9], 8),
    "cat_with_prefix": ("cat", 8, 4, 0, [24, 17, 9], 8),
    "concat": ("concat", 8, 0, 0, [17, 17, 16], 8),
    "concat_with_prefix": ("concat", 8, 4, 0, [17, 17, 16], 8),
    "recursive": ("recursive", 8, 0, 0, [17, 17, 16], 8),
    "recursive_with_prefix": ("recursive", 8, 4, 0, [24, 24, 23], 8),
}


def random_compressor(hidden, generator):
    """Far from the identity in every part, so that nothing can be left out unnoticed."""
    noise = lambda *shape: torch.randn(*shape, generator=generator)
    return {
        "connector.weight": noise(hidden, hidden) / hidden**0.5,
        "connector.bias": 0.3 * noise(hidden),
        "norm.weight": 0.6 + 0.2 * noise(hidden),
        "norm.bias": 0.2 * noise(hidden),
        "tag_embedding": 0.6 * noise(hidden),
    }


def draw_cases(vocab, generator):
    draw = lambda count: torch.randint(4, vocab, (count,), generator=generator).tolist()
    return {name: dict(mode=mode, ratio=ratio, separator=SEPARATOR, prefix=draw(prefix), before=draw(before),
                       segments=[draw(count) for count in segments], suffix=draw(suffix))
            for name, (mode, ratio, prefix, before, segments, suffix) in CASES.items()}


class SelfCP:
    def __init__(self, model, parameters):
        self.model, self.parameters = model, parameters

    def embed(self, ids):
        return self.model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long))

    def forward(self, *rows):
        return self.model.model(inputs_embeds=torch.cat(rows)[None]).last_hidden_state[0]

    def connect(self, hidden):
        p = self.parameters
        projected = torch.nn.functional.linear(hidden, p["connector.weight"], p["connector.bias"])
        return torch.nn.functional.layer_norm(projected, projected.shape[-1:], p["norm.weight"], p["norm.bias"], 1e-5)

    def compress_segment(self, case, segment, earlier_slots):
        """prefix, earlier slots, separator, segment, tags -> hidden states at the tags, and the slots made of them."""
        num_tags = max(1, len(segment) // case["ratio"])
        tags = self.parameters["tag_embedding"].expand(num_tags, -1)
        text = self.embed([case["separator"], *segment])
        hidden = self.forward(self.embed(case["prefix"]), *earlier_slots, text, tags)[-num_tags:]
        return hidden, self.connect(hidden)

    def compress(self, case):
        hidden, slots = [], []
        for segment in case["segments"]:
            earlier = {"concat": slots, "recursive": slots[-1:]}.get(case["mode"], [])
            tag_hidden, made = self.compress_segment(case, segment, earlier)
            hidden.append(tag_hidden)
            slots.append(made)
        return torch.cat(hidden), torch.cat(slots[-1:] if case["mode"] == "recursive" else slots)

    def generate(self, case, slots):
        before, suffix = case["prefix"] + case["before"], case["suffix"]
        logits = self.model.lm_head(self.forward(self.embed(before), slots, self.embed(suffix)))
        first = len(before) + len(slots) - 1  # the row that predicts the first suffix id
        scored = logits[first : first + len(suffix)]
        return logits, torch.nn.functional.cross_entropy(scored, torch.tensor(suffix), reduction="none")

    def run(self, case):
        tag_hidden, slots = self.compress(case)
        logits, nll = self.generate(case, slots)
        return {"tag_hidden": tag_hidden, "slots": slots, "logits": logits, "nll": nll, "loss": nll.mean()[None]}


def check_gradient(selfcp, case, gradients, generator):
    """The slope along a random direction, measured."""
    step = 1e-4
    originals = {name: tensor.detach().clone() for name, tensor in selfcp.parameters.items()}
    direction = {name: torch.randn(t.shape, generator=generator, dtype=t.dtype) for name, t in originals.items()}
    losses = []
    with torch.no_grad():
        for sign in (1, -1):
            for name, tensor in selfcp.parameters.items():
                tensor.copy_(originals[name] + sign * step * direction[name])
            losses.append(selfcp.run(case)["loss"].item())
        for name, tensor in selfcp.parameters.items():
            tensor.copy_(originals[name])
    slope = (losses[0] - losses[1]) / (2 * step)
    want = sum((gradients[name] * direction[name]).sum().item() for name in gradients)
    assert abs(slope - want) < 0.01 * max(1.0, abs(want)), (slope, want)


def expected_of(selfcp, case, generator):
    results = selfcp.run(case)
    names = list(selfcp.parameters)
    gradients = dict(zip(names, torch.autograd.grad(results["loss"], list(selfcp.parameters.values()))))
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients.values())
    check_gradient(selfcp, case, gradients, generator)
    return results | {f"gradient.{name}": gradient for name, gradient in gradients.items()}


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    OUT.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(7)
    model = AutoModelForCausalLM.from_pretrained(
        HERE / "models" / "llama", dtype=torch.float64, attn_implementation="eager").eval().requires_grad_(False)
    compressor = random_compressor(model.config.hidden_size, generator)
    cases = draw_cases(model.config.vocab_size, generator)

    selfcp = SelfCP(model, {name: tensor.double().requires_grad_() for name, tensor in compressor.items()})
    expected = {}
    for name, case in cases.items():
        results = expected_of(selfcp, case, generator)
        expected |= {f"{name}.{key}": value.detach().float().contiguous() for key, value in results.items()}
        print(f"{name:22} {len(results['slots'])} slots, loss {results['loss'].item():.3f}")

    versions = {"versions": f"transformers {transformers.__version__}, torch {torch.__version__}"}
    save_file(compressor, OUT / "selfcp.safetensors", metadata={"format": "pt"})
    save_file(expected, OUT / "expected.safetensors", metadata=versions)
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items())
    (OUT / "cases.json").write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
