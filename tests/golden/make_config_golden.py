# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/config_keys.json: what transformers makes of settings in config.json.

A case takes the weights of a model in `models/`, changes its config.json (`set`, `remove`) and holds the first NUM_LOGITS
logits after the last of `ids`, float32, eager attention. `defaults`: what each class takes where config.json names sizes
only. `fields`: the keys that the classes have, and `gguf_keys` those that gguf-py knows behind the architecture's name.

    third_party/install.sh --oracles
    .deps/venv/bin/python tests/golden/make_model_golden.py
    .deps/venv/bin/python tests/golden/make_config_golden.py
"""

import dataclasses
import importlib.metadata
import json
import math
import pathlib
import shutil
import tempfile

import gguf
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

GOLDEN = pathlib.Path(__file__).resolve().parent
MODELS = GOLDEN / "models"
IDS = [(7 * i * i + 3 * i + 5) % 96 for i in range(90)]  # longer than every window of the models
NUM_LOGITS = 32

LINEAR = {"rope_type": "linear", "factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
ALTERNATING = {"head_dim": 8, "layer_types": ["full_attention", "sliding_attention", "full_attention"]}
FULL = {"rope_type": "default", "rope_theta": 500.0}
SLIDING = {"rope_type": "default", "rope_theta": 50.0}


def case(name, base, changes, remove=(), like=None):
    """`like`: the case, or the base itself (""), whose logits these have to be; else they differ from the base's."""
    return dict(name=name, base=base, set=changes, remove=list(remove), like=like)


def rope_cases():
    biased = "llama_untied_bias"  # its config.json has rope_parameters; heads of 16
    new, old = ["rope_parameters"], "llama"
    yield case("rope_scaling_before_rope_parameters", biased,
               {"rope_scaling": LINEAR, "rope_parameters": FULL}, like="linear_of_10000")
    yield case("linear_of_10000", biased, {"rope_scaling": LINEAR}, new)
    yield case("rope_scaling_takes_the_base_beside_it", biased,
               {"rope_scaling": LINEAR, "rope_parameters": FULL, "rope_theta": 700.0})
    yield case("rope_parameters_without_a_base", biased,
               {"rope_parameters": {"rope_type": "default"}, "rope_theta": 700.0})
    yield case("the_base_of_rope_parameters_wins", biased, {"rope_parameters": FULL, "rope_theta": 700.0})
    yield case("a_base_in_rope_scaling", biased, {"rope_scaling": LINEAR | {"rope_theta": 300.0}, "rope_theta": 700.0}, new)
    yield case("an_empty_rope_scaling", biased, {"rope_scaling": {}, "rope_parameters": FULL})
    yield case("a_false_rope_scaling", biased, {"rope_scaling": False}, like="")
    yield case("a_null_rope_scaling", biased, {"rope_scaling": None}, like="")
    yield case("a_factor_without_a_type", biased, {"rope_scaling": {"factor": 4.0}}, like="")
    yield case("linear", old, {"rope_scaling": {"type": "linear", "factor": 4.0}})
    yield case("yarn", old, {"rope_scaling": YARN})
    yield case("yarn_warmer", old, {"rope_scaling": YARN | {"attention_factor": 1.5 * (0.1 * math.log(4.0) + 1.0)}})
    yield case("swish", old, {"hidden_act": "swish", "head_dim": None}, like="")
    yield case("windows_that_llama_lacks", old,
               {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 0}, like="")
    yield from yarn_cases(biased, new)


def yarn_cases(base, remove):
    def yarn(name, like=None, **changes):
        return case(f"yarn_{name}", base, {"rope_scaling": YARN | changes}, remove, like)

    yield yarn("alone")
    yield yarn("mscale_null", "yarn_alone", mscale=None, mscale_all_dim=None)
    yield yarn("mscale_0", "yarn_alone", mscale=0, mscale_all_dim=1.0)
    yield yarn("mscale_without_the_other", "yarn_alone", mscale=0.7)
    yield yarn("mscale", mscale=0.7, mscale_all_dim=1.0)
    yield yarn("betas_0", "yarn_alone", beta_fast=0, beta_slow=0)
    yield yarn("betas_null", "yarn_alone", beta_fast=None, beta_slow=None)
    yield yarn("betas", beta_fast=8, beta_slow=2)
    yield yarn("factor_null", factor=None)
    yield yarn("attention_factor_null", "yarn_alone", attention_factor=None)
    yield yarn("attention_factor_1", attention_factor=1.0)
    yield yarn("truncate_false", truncate=False)
    yield yarn("truncate_null", "yarn_truncate_false", truncate=None)
    yield case("yarn_without_its_window", base, {"rope_scaling": {"type": "yarn", "factor": 4.0}}, remove)
    yield case("yarn_window_beside_it", base,
               {"rope_scaling": YARN | {"original_max_position_embeddings": 16},
                "original_max_position_embeddings": 256}, remove)
    yield case("llama3", base, {"rope_scaling": LLAMA3}, remove)
    yield case("llama3_window_beside_it", base,
               {"rope_scaling": LLAMA3, "original_max_position_embeddings": 256}, remove)


def window_cases():
    mistral, qwen, listed = "mistral_window", "qwen2_window", ["layer_types"]
    yield case("mistral_without_a_window", mistral, {}, ["sliding_window"])
    yield case("mistral_window_null", mistral, {"sliding_window": None}, like="mistral_without_a_window")
    yield case("mistral_layer_types", mistral, ALTERNATING)
    yield case("mistral_layer_types_of_old", mistral,
               {"head_dim": 8, "layer_types": ["attention", "sliding_attention", "attention"]}, like="mistral_layer_types")
    yield case("mistral_layer_types_null", mistral, {"head_dim": 8, "layer_types": None}, like="")
    yield case("mistral_switch_of_qwen", mistral, {"use_sliding_window": False}, like="")
    yield case("qwen_layer_types_before_max_window_layers", qwen, {"max_window_layers": 0}, like="")
    yield case("qwen_max_window_layers_0", qwen, {"max_window_layers": 0}, listed)
    yield case("qwen_max_window_layers_negative", qwen, {"max_window_layers": -1}, listed, like="qwen_max_window_layers_0")
    yield case("qwen_max_window_layers_absent", qwen, {}, ["layer_types", "max_window_layers"])
    yield case("qwen_window_null", qwen, {"sliding_window": None}, listed, like="qwen_max_window_layers_absent")
    yield case("qwen_switched_off", qwen, {"use_sliding_window": False}, listed, like="qwen_max_window_layers_absent")


def gemma_cases():
    gemma, scaled = "gemma3_text", LINEAR | {"factor": 8.0}
    by_type = {"full_attention": FULL, "sliding_attention": SLIDING}
    yield case("gemma_bases_of_the_class", gemma, {}, ["rope_theta", "rope_local_base_freq"], like="")
    yield case("gemma_by_type", gemma, {"rope_parameters": by_type})
    yield case("gemma_full_alone", gemma, {"rope_parameters": {"full_attention": FULL}, "rope_local_base_freq": 70.0})
    yield case("gemma_sliding_null", gemma,
               {"rope_parameters": {"full_attention": FULL, "sliding_attention": None}, "rope_local_base_freq": 70.0},
               like="gemma_full_alone")
    yield case("gemma_by_type_bases_beside", gemma,
               {"rope_parameters": {"full_attention": scaled, "sliding_attention": {"rope_type": "default"}},
                "rope_theta": 700.0, "rope_local_base_freq": 70.0})
    yield case("gemma_rope_scaling_over_by_type", gemma, {"rope_scaling": scaled, "rope_parameters": by_type})
    yield case("gemma_base_in_rope_scaling", gemma, {"rope_scaling": scaled | {"rope_theta": 700.0}})
    yield case("gemma_type_of_old", gemma, {"rope_scaling": {"type": "linear", "factor": 8.0}}, like="")
    yield case("gemma_one_for_all", gemma, {"rope_parameters": FULL}, like="")
    yield case("gemma_yarn", gemma, {"rope_scaling": YARN})
    yield case("gemma_truncate_inside", gemma, {"rope_scaling": YARN | {"truncate": False}}, like="gemma_yarn")
    yield case("gemma_truncate_beside", gemma,
               {"rope_parameters": by_type | {"full_attention": YARN, "truncate": False}})
    yield case("gemma_no_windows", gemma, {"layer_types": ["full_attention"] * 7})
    yield case("gemma_layer_types", gemma, {"layer_types": ["sliding_attention", "full_attention"] * 3 + ["full_attention"]})
    yield case("gemma_pattern", gemma, {"sliding_window_pattern": 3})
    yield case("gemma_private_pattern", gemma, {"_sliding_window_pattern": 3}, like="")
    yield case("gemma_window_of_the_class", gemma, {}, ["sliding_window"])
    yield case("gemma_scalar_of_the_class", gemma, {}, ["query_pre_attn_scalar"])
    yield case("gemma_activation_of_others", gemma, {"hidden_act": "relu"}, ["hidden_activation"], like="")
    yield case("gemma_tied_by_the_class", gemma, {"use_bidirectional_attention": None}, ["tie_word_embeddings"], like="")


@torch.no_grad()
def logits_of(one):
    """What transformers computes with the base's weights and the changed config.json."""
    config = json.loads((MODELS / one["base"] / "config.json").read_text())
    config = {key: value for key, value in config.items() if key not in one["remove"]} | one["set"]
    with tempfile.TemporaryDirectory() as folder:
        for file in (MODELS / one["base"]).glob("model*"):
            shutil.copy(file, folder)
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(config))
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        return model(torch.tensor([IDS])).logits[0, -1]


def check(one, logits, bases):
    base = bases[one["base"]]
    other = base if not one["like"] else logits[one["like"]]
    difference = (logits[one["name"]] - other)[:NUM_LOGITS].abs().max().item()
    if one["like"] is None:
        assert difference > 0.05, f"{one['name']}: moves logits by {difference:.2g} only"
    else:
        assert difference < 1e-4, f"{one['name']}: logits are off by {difference:.2g}"


def defaults_of(model_type):
    """A config.json of sizes alone, and what transformers makes of it."""
    config = dict(model_type=model_type, vocab_size=96, hidden_size=64, num_hidden_layers=7, num_attention_heads=32,
                  intermediate_size=48)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(config))
        parsed = AutoConfig.from_pretrained(folder)
    rope = parsed.rope_parameters
    full, sliding = rope.get("full_attention", rope), rope.get("sliding_attention", rope)
    types = getattr(parsed, "layer_types", None)
    window = getattr(parsed, "sliding_window", None)
    return dict(
        config=config, num_key_value_heads=parsed.num_key_value_heads,
        head_dim=getattr(parsed, "head_dim", None) or parsed.hidden_size // parsed.num_attention_heads,
        max_position_embeddings=parsed.max_position_embeddings, rms_norm_eps=parsed.rms_norm_eps,
        tie_word_embeddings=parsed.tie_word_embeddings, rope_theta=full["rope_theta"],
        local_rope_theta=sliding["rope_theta"], sliding_window=window,
        windowed=[window is not None if types is None else kind == "sliding_attention" for kind in types or [None] * 7],
        scalar=getattr(parsed, "query_pre_attn_scalar", None))


def gguf_keys(group=gguf.Keys):
    for name, value in vars(group).items():
        if isinstance(value, type) and not name.startswith("__"):
            yield from gguf_keys(value)
        elif isinstance(value, str) and value.startswith("{arch}.") and value.count("{") == 1:
            yield value.removeprefix("{arch}.")


def main():
    cases = [*rope_cases(), *window_cases(), *gemma_cases()]
    assert len({one["name"] for one in cases}) == len(cases)
    bases = {base: logits_of(case("", base, {})) for base in {one["base"] for one in cases}}
    logits = {one["name"]: logits_of(one) for one in cases}
    for one in cases:
        check(one, logits, bases)
        one["logits"] = [round(value, 5) for value in logits[one["name"]][:NUM_LOGITS].tolist()]
        del one["like"]
    types = ["llama", "mistral", "qwen2", "qwen3", "gemma3_text"]
    classes = [type(AutoConfig.for_model(name)) for name in types]
    # {"cases": ...} with a line for each, so that changes can be read.
    parts = {
        "versions": f"transformers {transformers.__version__}, torch {torch.__version__}, "
                    f"gguf {importlib.metadata.version('gguf')}",
        "ids": IDS,
        "cases": cases,
        "defaults": [defaults_of(name) for name in types],
        "fields": sorted({field.name for kind in classes for field in dataclasses.fields(kind)}),
        "gguf_keys": sorted(set(gguf_keys())),
    }
    lines = []
    for name, part in parts.items():
        if name in ("cases", "defaults"):
            rows = ",\n  ".join(json.dumps(row) for row in part)
            lines.append(f'"{name}": [\n  {rows}\n ]')
        else:
            lines.append(f'"{name}": {json.dumps(part)}')
    text = "{\n " + ",\n ".join(lines) + "\n}\n"
    assert json.loads(text)
    (GOLDEN / "config_keys.json").write_text(text)
    print(f"{len(cases)} cases, {len(text)} bytes")


if __name__ == "__main__":
    main()
