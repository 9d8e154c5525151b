# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/ic_former: what IC-Former makes of texts over the tiny model in tests/golden/models/llama.

- `published/`: random weights in the published layout (config.json, model.safetensors, param.safetensors).
- `connector.safetensors`: a connector for the cases that have one.
- `grouped/`: another net in the published layout, whose query heads share key and value heads; in
  `expected.safetensors` of that folder its memories and gradients as below, and `tokens` [n] of the text.
- `cases.json`: for each case the ids of the text, whether there is a connector, and how the memories are read:
  "autoencode" (memories, AE -> text, end of sequence) or "instruct" (before, memories, FT, after, prompt, end ->
  answer).
- `expected.safetensors`: for each case `<name>.` and, over all parts of the text in their order,
  `layer.<i>` [num_slots, hidden], the digests after every layer; `slots` [num_slots, hidden]; `loss` [1], the mean
  nats of what is to be said; for some cases `gradient.<tensor>` of that loss, float32; for others `probe`
  [num_slots, hidden] and `probe_gradient.<tensor>` of sum(slots * probe). float64, where nothing else is said.

Everything is computed in float64, rotary angles too, part after part, with the concatenation and the mask that the
paper describes. Run make_model_golden.py first.

    .deps/venv/bin/python tests/golden/make_ic_former_golden.py
"""

import json
import math
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy, layer_norm, linear, silu
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "ic_former"
SLOTS, LAYERS, HEADS, FFN, EPSILON, ROPE_BASE = 5, 3, 4, 24, 1e-5, 500.0
SHARED_HEADS = 2  # of keys and values, in `grouped/`
MAX_PART = 16
TEMPLATE = dict(before=[7, 11, 13], after=[17, 19], end=[23])

# name: tokens of the text, connector, use
CASES = {
    "one_token": (1, False, "autoencode"),
    "fewer_tokens_than_slots": (3, False, "autoencode"),
    "one_full_part": (16, False, "autoencode"),
    "two_parts": (17, False, "autoencode"),
    "four_parts": (50, True, "autoencode"),
    "answer": (21, False, "instruct"),
}
WITH_GRADIENTS = {"two_parts", "answer"}
PROBED = {"four_parts"}


def random_weights(hidden, generator, kv_heads=HEADS):
    """Far from what training starts with in every part, so that nothing can be left out unnoticed."""
    key_width = hidden // HEADS * kv_heads
    noise = lambda *shape: torch.randn(*shape, generator=generator)
    matrix = lambda out, inner: 1.5 * noise(out, inner) / inner**0.5
    gain = lambda: 1 + 0.3 * noise(hidden)
    net = {}
    for i in range(LAYERS):
        layer = f"encoder.layers.{i}."
        for name in ("cross_input_layernorm", "context_layernorm", "post_attention_layernorm"):
            net[f"{layer}{name}.weight"] = gain()
        for name in "qkvo":
            net[f"{layer}cross_attn.{name}_proj.weight"] = matrix(key_width if name in "kv" else hidden, hidden)
        for name, out, inner in (("gate", FFN, hidden), ("up", FFN, hidden), ("down", hidden, FFN)):
            net[f"{layer}mlp.{name}_proj.weight"] = matrix(out, inner)
    net["encoder.norm.weight"] = gain()
    vectors = {"digest_embeddings": noise(1, SLOTS, hidden), "AE": noise(1, 1, hidden), "FT": noise(1, 1, hidden)}
    connector = {
        "connector.weight": noise(hidden, hidden) / hidden**0.5,
        "connector.bias": 0.3 * noise(hidden),
        "connector_norm.weight": 0.6 + 0.2 * noise(hidden),
        "connector_norm.bias": 0.2 * noise(hidden),
    }
    return net, vectors, connector


def published_config(hidden, kv_heads=HEADS):
    """With the keys that the reference's configuration class writes."""
    return dict(
        model_type="icformer", hidden_size=hidden, context_hidden_size=hidden, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=kv_heads, num_query_tokens=SLOTS, intermediate_size=FFN,
        hidden_act="silu", max_position_embeddings=2048, initializer_range=0.02, rms_norm_eps=EPSILON,
        rope_theta=ROPE_BASE, rope_scaling=None, attention_bias=False, attention_dropout=0.0,
        cross_attention_frequency=1, causal_attention=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        tie_word_embeddings=False)


def draw_cases(vocab, generator):
    draw = lambda count: torch.randint(4, vocab, (count,), generator=generator).tolist()
    cases = {}
    for name, (length, connector, use) in CASES.items():
        cases[name] = dict(tokens=draw(length), connector=connector, use=use)
        if use == "instruct":
            cases[name] |= dict(prompt=draw(6), answer=draw(7))
    return cases


def rms_norm(x, gain):
    return x / (x.square().mean(-1, keepdim=True) + EPSILON).sqrt() * gain


def rotate(x, positions):
    """x: [heads, n, head_dim]; the pairs (i, i + head_dim / 2) turn."""
    half = x.shape[-1] // 2
    frequencies = ROPE_BASE ** (-torch.arange(half, dtype=x.dtype) / half)
    angles = positions.to(x.dtype)[:, None] * frequencies
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin()], -1)


class IcFormer:
    def __init__(self, model, weights):
        self.model, self.weights = model, weights

    def embed(self, ids):
        return self.model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long))

    def layer(self, i, state, seen):
        w = lambda name: self.weights[f"encoder.layers.{i}.{name}.weight"]
        head_dim = state.shape[1] // HEADS
        heads = lambda x: x.unflatten(1, (-1, head_dim)).transpose(0, 1)
        positions, count = torch.arange(len(seen)), len(seen) - SLOTS
        read = rms_norm(seen, w("context_layernorm"))
        q = heads(linear(rms_norm(state, w("cross_input_layernorm")), w("cross_attn.q_proj")))
        k, v = (heads(linear(read, w(f"cross_attn.{name}_proj"))) for name in "kv")
        # Query head i reads key head i // (HEADS / number of key heads).
        k, v = (x[[head * len(x) // HEADS for head in range(HEADS)]] for x in (k, v))
        scores = rotate(q, positions[count:]) @ rotate(k, positions).mT / math.sqrt(q.shape[-1])
        allowed = torch.ones(SLOTS, len(seen), dtype=torch.bool)
        allowed[:, count:] = torch.ones(SLOTS, SLOTS).tril().bool()
        attended = scores.masked_fill(~allowed, -math.inf).softmax(-1) @ v
        state = state + linear(attended.transpose(0, 1).flatten(1), w("cross_attn.o_proj"))
        y = rms_norm(state, w("post_attention_layernorm"))
        gated = silu(linear(y, w("mlp.gate_proj"))) * linear(y, w("mlp.up_proj"))
        return state + linear(gated, w("mlp.down_proj"))

    def compress_part(self, ids):
        digests = self.weights["digest_embeddings"][0]
        states = [digests]
        seen = torch.cat([self.embed(ids), digests])
        for i in range(LAYERS):
            states.append(self.layer(i, states[-1], seen))
        return states[1:], rms_norm(states[-1], self.weights["encoder.norm.weight"])

    def connect(self, hidden):
        p = self.weights
        out = linear(hidden, p["connector.weight"], p["connector.bias"])
        return layer_norm(out, out.shape[-1:], p["connector_norm.weight"], p["connector_norm.bias"], 1e-5)

    def compress(self, case):
        tokens = case["tokens"]
        size = math.ceil(len(tokens) / math.ceil(len(tokens) / MAX_PART))
        parts = [self.compress_part(tokens[first : first + size]) for first in range(0, len(tokens), size)]
        layers = {f"layer.{i}": torch.cat([states[i] for states, _ in parts]) for i in range(LAYERS)}
        slots = torch.cat([memory for _, memory in parts])
        return layers | {"slots": self.connect(slots) if case["connector"] else slots}

    def loss(self, case, slots):
        """The memories in their frame, then what is to be said, of which the last id is only predicted."""
        if case["use"] == "autoencode":
            rows, wanted = [slots, self.weights["AE"][0]], case["tokens"] + [self.model.config.eos_token_id]
        else:
            after = self.embed(TEMPLATE["after"] + case["prompt"] + TEMPLATE["end"])
            rows, wanted = [self.embed(TEMPLATE["before"]), slots, self.weights["FT"][0], after], case["answer"]
        inputs = torch.cat(rows + [self.embed(wanted[:-1])])
        logits = self.model(inputs_embeds=inputs[None]).logits[0, -len(wanted) :]
        return cross_entropy(logits, torch.tensor(wanted))


def check_gradient(objective, weights, gradients, generator, step, tolerance):
    """The slope along a random direction, measured."""
    originals = {name: tensor.detach().clone() for name, tensor in weights.items()}
    direction = {name: torch.randn(t.shape, generator=generator, dtype=t.dtype) for name, t in originals.items()}
    values = []
    with torch.no_grad():
        for sign in (1, -1):
            for name, tensor in weights.items():
                tensor.copy_(originals[name] + sign * step * direction[name])
            values.append(objective().item())
        for name, tensor in weights.items():
            tensor.copy_(originals[name])
    slope = (values[0] - values[1]) / (2 * step)
    want = sum((gradients[name] * direction[name]).sum().item() for name in gradients)
    assert abs(slope - want) < tolerance * max(1.0, abs(want)), (slope, want)


def gradients_of(objective, weights, generator, step, tolerance):
    """Of the tensors that take part."""
    found = torch.autograd.grad(objective(), list(weights.values()), allow_unused=True)
    gradients = {name: gradient for name, gradient in zip(weights, found) if gradient is not None}
    assert all(gradient.abs().max() > 1e-6 for gradient in gradients.values())
    check_gradient(objective, weights, gradients, generator, step, tolerance)
    return gradients


def expected_of(former, name, case, generator):
    results = former.compress(case)
    loss = lambda: former.loss(case, former.compress(case)["slots"])
    results["loss"] = loss()[None]
    if name in WITH_GRADIENTS:
        # transformers keeps norms and rotary angles in float32 whatever the model's dtype: a long step for its noise.
        gradients = gradients_of(loss, former.weights, generator, step=1e-4, tolerance=0.02)
        results |= {f"gradient.{key}": value.float() for key, value in gradients.items()}
    if name in PROBED:
        probe = torch.randn(results["slots"].shape, generator=generator, dtype=torch.float64)
        probed = lambda: (former.compress(case)["slots"] * probe).sum()
        gradients = gradients_of(probed, former.weights, generator, step=1e-6, tolerance=1e-6)
        results |= {"probe": probe} | {f"probe_gradient.{key}": value for key, value in gradients.items()}
    return results


def write_grouped(model):
    """A net of fewer key and value heads: everything else as above."""
    folder, generator = OUT / "grouped", torch.Generator().manual_seed(12)
    folder.mkdir(parents=True, exist_ok=True)
    hidden = model.config.hidden_size
    net, vectors, _ = random_weights(hidden, generator, SHARED_HEADS)
    tokens = torch.randint(4, model.config.vocab_size, (MAX_PART + 9,), generator=generator)
    weights = {name: tensor.double().requires_grad_() for name, tensor in (net | vectors).items()}
    former, case = IcFormer(model, weights), dict(tokens=tokens.tolist(), connector=False)
    results = former.compress(case) | {"tokens": tokens}
    results["probe"] = torch.randn(results["slots"].shape, generator=generator, dtype=torch.float64)
    probed = lambda: (former.compress(case)["slots"] * results["probe"]).sum()
    gradients = gradients_of(probed, weights, generator, step=1e-6, tolerance=1e-6)
    results |= {f"probe_gradient.{key}": value for key, value in gradients.items() if "layers.1.cross_attn" in key}
    results = {name: tensor.detach().contiguous() for name, tensor in results.items()}
    (folder / "config.json").write_text(json.dumps(published_config(hidden, SHARED_HEADS), indent=2) + "\n")
    save_file(net, folder / "model.safetensors", metadata={"format": "pt"})
    save_file(vectors, folder / "param.safetensors", metadata={"format": "pt"})
    save_file(results, folder / "expected.safetensors", metadata={"versions": f"torch {torch.__version__}"})


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    (OUT / "published").mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(11)
    model = AutoModelForCausalLM.from_pretrained(
        HERE / "models" / "llama", dtype=torch.float64, attn_implementation="eager").eval().requires_grad_(False)
    hidden = model.config.hidden_size
    net, vectors, connector = random_weights(hidden, generator)
    cases = draw_cases(model.config.vocab_size, generator)

    weights = {name: tensor.double().requires_grad_() for name, tensor in (net | vectors | connector).items()}
    former, expected = IcFormer(model, weights), {}
    for name, case in cases.items():
        results = expected_of(former, name, case, generator)
        expected |= {f"{name}.{key}": value.detach().contiguous() for key, value in results.items()}
        print(f"{name:24} {len(results['slots'])} slots, loss {results['loss'].item():.3f}")

    versions = {"versions": f"transformers {transformers.__version__}, torch {torch.__version__}"}
    (OUT / "published" / "config.json").write_text(json.dumps(published_config(hidden), indent=2) + "\n")
    save_file(net, OUT / "published" / "model.safetensors", metadata={"format": "pt"})
    save_file(vectors, OUT / "published" / "param.safetensors", metadata={"format": "pt"})
    save_file(connector, OUT / "connector.safetensors", metadata={"format": "pt"})
    save_file(expected, OUT / "expected.safetensors", metadata=versions)
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items())
    write_grouped(model)
    settings = dict(max_part=MAX_PART, template=TEMPLATE)
    (OUT / "cases.json").write_text(f'{{"settings": {json.dumps(settings)},\n"cases": {{\n{rows}\n}}}}\n')


if __name__ == "__main__":
    main()
