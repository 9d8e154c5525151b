# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/gisting: what Gisting makes of segments over the tiny model in tests/golden/models/llama.

Nothing here is cached: one forward reads `before, segment, gist x k, suffix` under the gist mask, eagerly, with a 4-D
additive mask and explicit positions. That the keys and values of the gist columns stand in for everything before them
is what the C++ side has to show; the script itself asserts it once more by its own cache.

- `gisting.safetensors`: the trained part of the frozen form, named as `compressor.safetensors` has it: gist embeddings
  for the largest k (a smaller k takes the first ones) and a LoRA on q, k, v of every layer.
- `cases.json`: ids of each case; and rows of ids with their padding, for the masks.
- `expected.safetensors`: for each case `<name>.` and
  `keys`, `values` [layers, kv_heads, k, head_dim] of the gist columns, rotated; `logits` [num_suffix, vocab] of the
  suffix; `loss` [1], the mean over the suffix's last ids, its completion; and for the frozen form
  `gradient.<tensor>` of the loss. For each mask `mask.<row>.<attention>` [n, n] bool.

Everything comes from one run in float64 and is stored as float32. transformers takes norms and softmax in float32 even
then; both are restated in float64, which agrees with its own to what float32 holds. Run make_model_golden.py first.

    .deps/venv/bin/python tests/golden/make_gisting_golden.py
"""

import contextlib
import json
import pathlib
import types

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.models.llama import modeling_llama

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "gisting"
GIST_ID = 311  # of the tuned form: some id that no text below uses
RANK, ALPHA = 4, 6.0
SUFFIX, COMPLETION = 7, 4
LARGEST_K = 5
BEFORE = {1: 0, 5: 3, 37: 4}  # ids before a segment of that length

# Rows of ids, as a batch that is padded on the left would have them: padding, prompt, gists, suffix.
MASKS = {"plain": (0, 5, 2, 3), "padded": (3, 4, 1, 4), "many_gists": (1, 6, 5, 2), "no_gist": (2, 6, 0, 0),
         "gist_last": (0, 4, 2, 0), "gist_first": (2, 0, 2, 3), "only_gists": (0, 0, 3, 0)}


def adapted_projections(model, layer):
    """None for the queries of the last layer: what gists find there is read by nobody."""
    last = layer + 1 == model.config.num_hidden_layers
    return ("k_proj", "v_proj") if last else ("q_proj", "k_proj", "v_proj")


def random_compressor(model, generator):
    """Far from the identity in every part, so that nothing can be left out unnoticed."""
    noise = lambda *shape: torch.randn(*shape, generator=generator)
    hidden = model.config.hidden_size
    tensors = {"gist_embeddings": 0.6 * noise(LARGEST_K, hidden)}
    for i, layer in enumerate(model.model.layers):
        for name in adapted_projections(model, i):
            out = getattr(layer.self_attn, name).out_features
            tensors[f"layers.{i}.{name}.lora_A.weight"] = noise(RANK, hidden) / hidden**0.5
            tensors[f"layers.{i}.{name}.lora_B.weight"] = noise(out, RANK) / RANK**0.5
    return tensors


def draw_cases(generator):
    draw = lambda count: torch.randint(4, GIST_ID, (count,), generator=generator).tolist()
    return {f"{form}_k{k}_n{n}": dict(form=form, k=k, before=draw(BEFORE[n]), segment=draw(n), suffix=draw(SUFFIX),
                                      completion=COMPLETION)
            for form in ("frozen", "tuned") for k in (1, 2, 5) for n in (1, 5, 37)}


def gist_mask(ids, padding, attention):
    """The rule, cell by cell; a row without gists is plainly causal. Padding sees itself, so that no row is empty."""
    n = len(ids)
    gists = [i for i, id in enumerate(ids) if id == GIST_ID]
    mask = torch.zeros(n, n, dtype=torch.bool)
    for row in range(n):
        for column in range(padding, row + 1):
            mask[row, column] = True
            if not gists or attention == "positive":
                continue
            if row > gists[-1] and attention == "gist":
                mask[row, column] = column >= gists[0]
            if row > gists[-1] and attention == "negative":
                mask[row, column] = column > gists[-1]
        mask[row, row] = True
    return mask


def norm(self, x):
    return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.variance_epsilon)


def attention(module, query, key, value, mask, scaling, **ignored):
    key, value = (x.repeat_interleave(module.num_key_value_groups, 1) for x in (key, value))
    weights = torch.softmax(query @ key.transpose(2, 3) * scaling + mask, -1)
    return (weights @ value).transpose(1, 2), weights


def widen(model):
    """Norms and softmax in float64, for the rest of the run."""
    modeling_llama.eager_attention_forward = attention
    for module in model.modules():
        if isinstance(module, modeling_llama.LlamaRMSNorm):
            module.forward = types.MethodType(norm, module)


class Gisting:
    def __init__(self, model, parameters):
        self.model, self.parameters = model, parameters

    def embed(self, ids):
        return self.model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long))

    def gists(self, case):
        if case["form"] == "frozen":
            return self.parameters["gist_embeddings"][: case["k"]]
        return self.embed([GIST_ID] * case["k"])

    @contextlib.contextmanager
    def adapted(self, rows):
        """LoRA on q, k, v of the rows [T] that are marked, and of no others."""
        def hook_for(prefix):
            def change(module, inputs, output):
                down, up = (self.parameters[f"{prefix}.lora_{half}.weight"] for half in "AB")
                return output + (ALPHA / RANK) * rows[:, None] * (inputs[0] @ down.T @ up.T)
            return change

        hooks = [getattr(layer.self_attn, name).register_forward_hook(hook_for(f"layers.{i}.{name}"))
                 for i, layer in enumerate(self.model.model.layers) for name in adapted_projections(self.model, i)]
        yield
        for hook in hooks:
            hook.remove()

    def forward(self, case, embeddings, is_gist, mask, first_position=0, cache=None):
        """embeddings [T, hidden], is_gist [T], mask [T, columns] -> hidden states [T, hidden] and the cache."""
        cache = DynamicCache() if cache is None else cache
        additive = torch.zeros(mask.shape, dtype=embeddings.dtype).masked_fill(~mask, float("-inf"))
        positions = torch.arange(first_position, first_position + len(embeddings))[None]
        adapter = self.adapted(is_gist.to(embeddings.dtype)) if case["form"] == "frozen" else contextlib.nullcontext()
        with adapter:
            out = self.model.model(inputs_embeds=embeddings[None], attention_mask=additive[None, None],
                                   position_ids=positions, past_key_values=cache, use_cache=True)
        return out.last_hidden_state[0], cache

    def masked(self, case):
        """The whole sequence at once."""
        text = case["before"] + case["segment"]
        ids = text + [GIST_ID] * case["k"] + case["suffix"]
        embeddings = torch.cat([self.embed(text), self.gists(case), self.embed(case["suffix"])])
        is_gist = torch.tensor([id == GIST_ID for id in ids])
        hidden, cache = self.forward(case, embeddings, is_gist, gist_mask(ids, 0, "gist"))
        columns = slice(len(text), len(text) + case["k"])
        keys = torch.stack([layer.keys[0, :, columns] for layer in cache.layers])
        values = torch.stack([layer.values[0, :, columns] for layer in cache.layers])
        return keys, values, self.model.lm_head(hidden[columns.stop :])

    def cached(self, case, keys, values):
        """The suffix after nothing but the gist columns, at the positions that it had."""
        cache = DynamicCache()
        for layer in range(len(keys)):
            cache.update(keys[layer][None], values[layer][None], layer)
        num, k = len(case["suffix"]), case["k"]
        first = len(case["before"]) + len(case["segment"]) + k
        mask = torch.ones(num, k + num, dtype=torch.bool).tril(k)
        hidden, _ = self.forward(case, self.embed(case["suffix"]), torch.zeros(num), mask, first, cache)
        return self.model.lm_head(hidden)

    def run(self, case):
        keys, values, logits = self.masked(case)
        count = case["completion"]
        loss = torch.nn.functional.cross_entropy(logits[-count - 1 : -1], torch.tensor(case["suffix"][-count:]))
        return {"keys": keys, "values": values, "logits": logits, "loss": loss[None]}


def check_gradient(gisting, case, gradients, generator):
    """The slope along a random direction, measured."""
    step = 1e-6
    originals = {name: tensor.detach().clone() for name, tensor in gisting.parameters.items()}
    direction = {name: torch.randn(t.shape, generator=generator, dtype=t.dtype) for name, t in originals.items()}
    losses = []
    with torch.no_grad():
        for sign in (1, -1):
            for name, tensor in gisting.parameters.items():
                tensor.copy_(originals[name] + sign * step * direction[name])
            losses.append(gisting.run(case)["loss"].item())
        for name, tensor in gisting.parameters.items():
            tensor.copy_(originals[name])
    slope = (losses[0] - losses[1]) / (2 * step)
    want = sum((gradients[name] * direction[name]).sum().item() for name in gradients)
    assert abs(slope - want) < 1e-5 * max(1.0, abs(want)), (slope, want)


def expected_of(gisting, case, generator):
    results = gisting.run(case)
    difference = (gisting.cached(case, results["keys"], results["values"]) - results["logits"]).abs().max()
    assert difference < 1e-11, difference
    if case["form"] == "tuned":
        return results
    gradients = dict(zip(gisting.parameters, torch.autograd.grad(results["loss"], list(gisting.parameters.values()))))
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients.values())
    check_gradient(gisting, case, gradients, generator)
    gradients["gist_embeddings"] = gradients["gist_embeddings"][: case["k"]]
    return results | {f"gradient.{name}": gradient for name, gradient in gradients.items()}


def mask_rows(generator):
    draw = lambda count: torch.randint(4, GIST_ID, (count,), generator=generator).tolist()
    return {name: dict(padding=padding, ids=[0] * padding + draw(prompt) + [GIST_ID] * gists + draw(suffix))
            for name, (padding, prompt, gists, suffix) in MASKS.items()}


def as_json(rows):
    return "{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()) + "\n }"


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    OUT.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(11)
    model = AutoModelForCausalLM.from_pretrained(
        HERE / "models" / "llama", dtype=torch.float64, attn_implementation="eager").eval().requires_grad_(False)
    compressor = random_compressor(model, generator)
    cases, masks = draw_cases(generator), mask_rows(generator)

    gisting = Gisting(model, {name: tensor.double().requires_grad_() for name, tensor in compressor.items()})
    expected = {}
    with torch.no_grad():
        untouched = {name: gisting.masked(case)[2] for name, case in cases.items()}
    widen(model)
    for name, case in cases.items():
        results = expected_of(gisting, case, generator)
        assert torch.allclose(untouched[name], results["logits"], rtol=1e-4, atol=1e-4)
        expected |= {f"{name}.{key}": value.detach().float().contiguous() for key, value in results.items()}
        print(f"{name:14} loss {results['loss'].item():.3f}")
    for name, row in masks.items():
        for attention in ("gist", "positive", "negative"):
            expected[f"mask.{name}.{attention}"] = gist_mask(row["ids"], row["padding"], attention)

    versions = {"versions": f"transformers {transformers.__version__}, torch {torch.__version__}"}
    save_file(compressor, OUT / "gisting.safetensors", metadata={"format": "pt"})
    save_file(expected, OUT / "expected.safetensors", metadata=versions)
    settings = dict(gist_id=GIST_ID, rank=RANK, alpha=ALPHA)
    parts = {"settings": json.dumps(settings), "cases": as_json(cases), "masks": as_json(masks)}
    rows = ",\n".join(f' "{name}": {part}' for name, part in parts.items())
    (OUT / "cases.json").write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
