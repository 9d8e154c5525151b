# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/icae: what ICAE makes of texts over the tiny models in tests/golden/models.

- `<compressor>.safetensors`: a compressor in the layout of compressor.safetensors.
- `cases.json`: for each case its compressor's settings, the ids of the text, of what continues it, and of a prompt
  about it with its template and answer.
- `expected.safetensors`: for each case `<name>.` and
  `slots` [num_slots, hidden], the memory of the whole text; for each use (autoencode, continue, instruct)
  `<use>.logits` [vocab] of the first generated step, `<use>.loss` [1], the mean cross entropy of what is to follow,
  and `<use>.gradient.<tensor>` of that loss for each tensor of the compressor.

Everything is float64. LoRA is restated as a merge: the encoder is the model with W + (alpha / rank) up down in place of
W in the query and value projections. Norms and softmax, which transformers computes in float32, are made to compute in
float64; the rotary table stays float32, as it is in Precis. Run make_model_golden.py first.

    .deps/venv/bin/python tests/golden/make_icae_golden.py
"""

import json
import math
import pathlib
import types

import torch
import transformers
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy, layer_norm, linear
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "icae"
SLOTS, MAX_SEGMENT, RANK = 4, 16, 3
END = 0  # what ends an answer: the tiny models' own

# name: model, alpha, connector
COMPRESSORS = {
    "llama": ("llama", 32.0, False),
    "llama_connector": ("llama", 6.0, True),
    "mistral": ("mistral_window", 32.0, False),  # its window is shorter than a part
}
# What stands around a prompt. Not the published ids: the tiny vocabularies end before them.
TEMPLATES = {
    "llama": dict(before=[], mark_after_prompt=True, end=[]),
    "llama_connector": dict(before=[7], mark_after_prompt=True, end=[8, 9]),
    "mistral": dict(before=[1, 73, 62, 93], mark_after_prompt=False, end=[73, 48, 62, 93]),
}
# name: compressor, length of the text, lengths of the parts that it is divided into
CASES = {
    "llama_one_token": ("llama", 1, [1]),
    "llama_one_part": ("llama", 16, [16]),
    "llama_parts": ("llama", 37, [13, 13, 11]),
    "connector_two_parts": ("llama_connector", 17, [9, 8]),
    "mistral_one_part": ("mistral", 15, [15]),
    "mistral_parts": ("mistral", 37, [13, 13, 11]),
}


def exact_norm(norm, hidden):
    return norm.weight * hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + norm.variance_epsilon)


def load_model(name):
    model = AutoModelForCausalLM.from_pretrained(HERE / "models" / name, dtype=torch.float64, attn_implementation="sdpa")
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = types.MethodType(exact_norm, module)
    return model.eval().requires_grad_(False)


def random_compressor(config, connector, generator):
    """Far from doing nothing in every part, so that nothing can be left out unnoticed."""
    noise = lambda *shape: torch.randn(*shape, generator=generator)
    hidden = config.hidden_size
    head_dim = hidden // config.num_attention_heads
    tensors = {"memory_embeddings": 0.6 * noise(SLOTS + 3, hidden)}
    for layer in range(config.num_hidden_layers):
        for name, heads in (("q", config.num_attention_heads), ("v", config.num_key_value_heads)):
            tensors[f"layers.{layer}.{name}.down"] = noise(RANK, hidden) / hidden**0.5
            tensors[f"layers.{layer}.{name}.up"] = 0.1 * noise(heads * head_dim, RANK)
    if connector:
        tensors["connector.weight"] = noise(hidden, hidden) / hidden**0.5
        tensors["connector.bias"] = 0.3 * noise(hidden)
        tensors["norm.weight"] = 0.6 + 0.2 * noise(hidden)
        tensors["norm.bias"] = 0.2 * noise(hidden)
    return tensors


def divide(ids):
    """As few parts as possible, of one size but for the last."""
    size = math.ceil(len(ids) / math.ceil(len(ids) / MAX_SEGMENT))
    return [ids[first : first + size] for first in range(0, len(ids), size)]


class Icae:
    def __init__(self, model, parameters, alpha):
        self.model, self.parameters, self.scale = model, parameters, alpha / RANK

    def embed(self, ids):
        return self.model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long))

    def mark(self, index):
        return self.parameters["memory_embeddings"][SLOTS + index][None]

    def encoder_weights(self):
        merged = {}
        for layer in range(self.model.config.num_hidden_layers):
            for name in ("q", "v"):
                full = f"layers.{layer}.self_attn.{name}_proj.weight"
                down, up = (self.parameters[f"layers.{layer}.{name}.{part}"] for part in ("down", "up"))
                merged[full] = self.model.model.get_parameter(full) + self.scale * up @ down
        return merged

    def encode(self, part):
        rows = torch.cat([self.embed(part), self.parameters["memory_embeddings"][:SLOTS]])
        inputs = {"inputs_embeds": rows[None], "use_cache": False}
        output = torch.func.functional_call(self.model.model, self.encoder_weights(), args=(), kwargs=inputs)
        return self.connect(output.last_hidden_state[0][-SLOTS:])

    def connect(self, hidden):
        p = self.parameters
        if "connector.weight" not in p:
            return hidden
        projected = linear(hidden, p["connector.weight"], p["connector.bias"])
        return layer_norm(projected, projected.shape[-1:], p["norm.weight"], p["norm.bias"], 1e-5)

    def slots(self, case):
        return torch.cat([self.encode(part) for part in divide(case["text"])])

    def read(self, rows, targets):
        """Logits of the first step after `rows`, and the loss of `targets` in the decoder, which knows no LoRA."""
        rows = torch.cat([*rows, self.embed(targets[:-1])])
        hidden = self.model.model(inputs_embeds=rows[None], use_cache=False).last_hidden_state[0]
        logits = self.model.lm_head(hidden[len(rows) - len(targets) :])
        return logits[0], cross_entropy(logits, torch.tensor(targets))

    def run(self, case, use):
        slots = self.slots(case)
        if use == "autoencode":
            return self.read([slots, self.mark(0)], case["text"] + [END])
        if use == "continue":
            return self.read([slots, self.mark(1)], case["continuation"])
        closing = [self.mark(2)] if case["mark_after_prompt"] else []
        rows = [self.embed(case["before"]), slots, self.mark(2), self.embed(case["prompt"]), *closing,
                self.embed(case["end"])]
        return self.read(rows, case["answer"] + [END])


def check_gradient(icae, case, use, gradients, generator):
    """The slope along a random direction, measured."""
    step = 1e-6
    originals = {name: tensor.detach().clone() for name, tensor in icae.parameters.items()}
    direction = {name: torch.randn(t.shape, generator=generator, dtype=t.dtype) for name, t in originals.items()}
    losses = []
    with torch.no_grad():
        for sign in (1, -1):
            for name, tensor in icae.parameters.items():
                tensor.copy_(originals[name] + sign * step * direction[name])
            losses.append(icae.run(case, use)[1].item())
        for name, tensor in icae.parameters.items():
            tensor.copy_(originals[name])
    slope = (losses[0] - losses[1]) / (2 * step)
    want = sum((gradients[name] * direction[name]).sum().item() for name in gradients)
    assert abs(slope - want) < 1e-4 * max(1.0, abs(want)), (slope, want)


def check_adapter(icae, case, slots):
    """Without LoRA the memory is another one, else the case tests nothing."""
    plain = Icae(icae.model, icae.parameters, 0.0).slots(case)
    assert (plain - slots).abs().max() > 0.1 * slots.abs().max()


def expected_of(icae, case, generator):
    slots = icae.slots(case)
    check_adapter(icae, case, slots)
    results = {"slots": slots}
    for use in ("autoencode", "continue", "instruct"):
        logits, loss = icae.run(case, use)
        names = list(icae.parameters)
        gradients = dict(zip(names, torch.autograd.grad(loss, list(icae.parameters.values()))))
        assert all(gradient.abs().max() > 1e-4 for gradient in gradients.values())
        check_gradient(icae, case, use, gradients, generator)
        results |= {f"{use}.logits": logits, f"{use}.loss": loss[None]}
        results |= {f"{use}.gradient.{name}": gradient for name, gradient in gradients.items()}
    return results


def draw_case(name, vocab, generator):
    compressor, length, parts = CASES[name]
    draw = lambda count: torch.randint(4, vocab, (count,), generator=generator).tolist()
    model, alpha, connector = COMPRESSORS[compressor]
    case = dict(model=model, compressor=compressor, slots=SLOTS, max_segment=MAX_SEGMENT, rank=RANK, alpha=alpha,
                connector=connector, text=draw(length), continuation=draw(9), **TEMPLATES[compressor], prompt=draw(6),
                answer=draw(5), end_of_answer=END)
    assert [len(part) for part in divide(case["text"])] == parts
    return case


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    OUT.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(11)
    compressors, cases, expected = {}, {}, {}
    for name, (model, alpha, connector) in COMPRESSORS.items():
        model = load_model(model)
        tensors = random_compressor(model.config, connector, generator)
        save_file(tensors, OUT / f"{name}.safetensors", metadata={"format": "pt"})
        compressors[name] = Icae(model, {key: t.double().requires_grad_() for key, t in tensors.items()}, alpha)
    for name, (compressor, _, _) in CASES.items():
        icae = compressors[compressor]
        cases[name] = draw_case(name, icae.model.config.vocab_size, generator)
        results = expected_of(icae, cases[name], generator)
        expected |= {f"{name}.{key}": value.detach().contiguous() for key, value in results.items()}
        losses = ", ".join(f"{use} {results[f'{use}.loss'].item():.3f}" for use in ("autoencode", "continue", "instruct"))
        print(f"{name:22} {len(results['slots'])} slots, losses: {losses}")

    versions = {"versions": f"transformers {transformers.__version__}, torch {torch.__version__}"}
    save_file(expected, OUT / "expected.safetensors", metadata=versions)
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items())
    (OUT / "cases.json").write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
