# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/models: tiny random models of every architecture, and what transformers makes of them.

Each model is a Hugging Face directory `models/<name>/` with `expected.safetensors` beside its weights:
`ids` [n] int64, `logits` [n, vocab] and `hidden` [n, hidden] (after the final norm), float32, eager attention.
Some models have a twin in `models/<name>.gguf` with the same weights and the same expectation.

    third_party/install.sh --oracles
    .deps/venv/bin/python tests/golden/make_model_golden.py
"""

import copy
import importlib.metadata
import json
import pathlib
import shutil
import tempfile

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tiny_vocabulary import byte_level_vocabulary, sentence_piece_vocabulary, write_tokenizer_json
from transformers import AutoConfig, AutoModelForCausalLM

MODELS = pathlib.Path(__file__).resolve().parent / "models"
NUM_IDS = 40  # longer than every sliding window below
# One entry, because safetensors writes several in a random order.
VERSIONS = {"versions": f"transformers {transformers.__version__}, torch {torch.__version__}, "
                        f"gguf {importlib.metadata.version('gguf')}"}

# Keys as published checkpoints have them: rope_theta and rope_scaling beside the others. A case named in NEW_STYLE
# is saved by transformers itself, which writes rope_parameters and layer_types instead.
LLAMA = dict(
    architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=96, hidden_size=32, intermediate_size=48,
    num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, hidden_act="silu", rms_norm_eps=1e-5,
    max_position_embeddings=512, rope_theta=10000.0, tie_word_embeddings=False, bos_token_id=0, eos_token_id=0,
)
QWEN2 = dict(
    architectures=["Qwen2ForCausalLM"], model_type="qwen2", vocab_size=96, hidden_size=32, intermediate_size=48,
    num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, hidden_act="silu", rms_norm_eps=1e-6,
    max_position_embeddings=512, rope_theta=1000000.0, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
    use_sliding_window=False, sliding_window=16, max_window_layers=1,  # the window is named but switched off
)
GEMMA3 = dict(
    architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", vocab_size=96, hidden_size=32, intermediate_size=32,
    num_attention_heads=2, num_key_value_heads=1, head_dim=16, hidden_activation="gelu_pytorch_tanh",
    rms_norm_eps=1e-6, max_position_embeddings=512, rope_theta=1000000.0, rope_local_base_freq=10000.0,
    query_pre_attn_scalar=16, sliding_window=16, tie_word_embeddings=True, pad_token_id=0, eos_token_id=1,
    bos_token_id=2,
)

CASES = {
    "llama": LLAMA | dict(vocab_size=320, tie_word_embeddings=True, num_attention_heads=4, num_key_value_heads=2),
    "llama_untied_bias": LLAMA | dict(attention_bias=True, mlp_bias=True),
    "llama3_rope": LLAMA | dict(
        vocab_size=320, eos_token_id=[0, 2],
        rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                          original_max_position_embeddings=64)),
    "llama_linear_rope": LLAMA | dict(rope_scaling=dict(type="linear", factor=4.0)),
    "llama_yarn_rope": LLAMA | dict(
        rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=64)),
    "mistral_window": LLAMA | dict(
        architectures=["MistralForCausalLM"], model_type="mistral", num_attention_heads=4, num_key_value_heads=2,
        sliding_window=12),
    "qwen2": QWEN2 | dict(vocab_size=320),
    "qwen2_window": QWEN2 | dict(num_hidden_layers=4, max_window_layers=2, sliding_window=12, use_sliding_window=True,
                                 tie_word_embeddings=False),
    "qwen3": LLAMA | dict(
        architectures=["Qwen3ForCausalLM"], model_type="qwen3", head_dim=12, num_attention_heads=4,
        num_key_value_heads=2, attention_bias=False, use_sliding_window=False, sliding_window=None,
        max_window_layers=3, tie_word_embeddings=True),
    "gemma3_text": GEMMA3 | dict(vocab_size=320, num_hidden_layers=7),  # layer 5 is global, the others are sliding
    "gemma3_linear_rope": GEMMA3 | dict(
        num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, query_pre_attn_scalar=10,
        rope_local_base_freq=5000.0, sliding_window=10, sliding_window_pattern=3,
        rope_scaling=dict(rope_type="linear", factor=8.0)),
}
NEW_STYLE = {"llama_untied_bias", "llama_yarn_rope", "qwen2_window", "qwen3", "gemma3_linear_rope"}
SHARDED = {"mistral_window", "qwen3"}
STORED = {"llama": torch.float32, "llama_linear_rope": torch.float16}  # else bfloat16
GGUF_TWINS = {"llama": np.float32, "llama3_rope": np.float16, "qwen2": np.float32, "gemma3_text": np.float32}

# The same weights without the thing that a case is about must give other logits, else the case tests nothing.
WITHOUT = {
    "llama_untied_bias": dict(rope_theta=500.0),
    "llama3_rope": dict(rope_scaling=None),
    "llama_linear_rope": dict(rope_scaling=None),
    "llama_yarn_rope": dict(rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=64,
                                              attention_factor=1.0)),
    "mistral_window": dict(sliding_window=13),
    "qwen2": dict(use_sliding_window=True),
    "qwen2_window": dict(max_window_layers=1),
    "gemma3_text": dict(sliding_window_pattern=3),
    "gemma3_linear_rope": dict(rope_scaling=None),
}


def build(config):
    """A model in evaluation mode for a config.json's content, float32, eager attention."""
    config = copy.deepcopy(config)
    parsed = AutoConfig.for_model(config.pop("model_type"), **config)
    return AutoModelForCausalLM.from_config(parsed, dtype=torch.float32, attn_implementation="eager").eval()


@torch.no_grad()
def randomise(model, seed):
    """Values that every storage type holds exactly, large enough for logits that are far from flat."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            centre = 0.0 if model.config.model_type == "gemma3_text" else 1.0  # Gemma scales by 1 + weight
            value = centre + 0.3 * noise
        elif name.endswith("bias"):
            value = 0.3 * noise
        elif "embed" in name or "lm_head" in name:
            value = 0.6 * noise
        else:
            value = 1.4 * noise / parameter.shape[-1] ** 0.5
        value = value.bfloat16().float()
        parameter.copy_(torch.where(value.abs() < 2.0**-14, torch.zeros(()), value))
    return model


@torch.no_grad()
def evaluate(model, ids):
    hidden = model.model(ids[None]).last_hidden_state
    return {"logits": model.lm_head(hidden)[0].contiguous(), "hidden": hidden[0].contiguous()}


def state_to_store(model, dtype):
    tied = model.config.tie_word_embeddings
    return {name: tensor.to(dtype).contiguous() for name, tensor in model.state_dict().items()
            if not (tied and name == "lm_head.weight")}


def save_sharded(state, folder):
    """Two shards with an index, tensors dealt out in turn so that a layer's are spread over both."""
    files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    weight_map = {name: files[i % 2] for i, name in enumerate(sorted(state))}
    for file in files:
        save_file({n: t for n, t in state.items() if weight_map[n] == file}, folder / file, metadata={"format": "pt"})
    total = sum(t.numel() * t.element_size() for t in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def save_directory(name, model, folder):
    dtype = STORED.get(name, torch.bfloat16)
    dtype_name = str(dtype).removeprefix("torch.")
    if name in NEW_STYLE:
        config = model.config.to_diff_dict() | {"dtype": dtype_name, "architectures": CASES[name]["architectures"]}
        assert "rope_parameters" in config and "rope_theta" not in config
    else:
        config = CASES[name] | {"torch_dtype": dtype_name}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    state = state_to_store(model, dtype)
    if name in SHARDED:
        save_sharded(state, folder)
    else:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def reload(folder, **gguf_file):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", **gguf_file).eval()


def reload_twin(name):
    """The GGUF as llama.cpp would read it: transformers overlooks two things."""
    twin = reload(MODELS, gguf_file=f"{name}.gguf")
    if name == "gemma3_text":  # the query scale is not in the file: transformers assumes 256, llama.cpp the head size
        for layer in twin.model.layers:
            layer.self_attn.scaling = layer.self_attn.head_dim**-0.5
    for tensor in gguf.GGUFReader(MODELS / f"{name}.gguf").tensors:
        if tensor.name == "rope_freqs.weight":
            twin.model.rotary_emb.inv_freq /= torch.tensor(tensor.data)
    return twin


def interleaved(rows, num_heads):
    """Rows of Q or K as llama.cpp's `llama` wants them: rotary pairs (2i, 2i+1) instead of (i, i + head_dim/2)."""
    return rows.reshape(num_heads, 2, -1, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def add_tokenizer(writer, config):
    if config.model_type == "gemma3_text":
        tokens, scores, types = sentence_piece_vocabulary(config.vocab_size)
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_scores(scores)
        writer.add_bos_token_id(2)
        writer.add_eos_token_id(1)
        writer.add_unk_token_id(3)
        writer.add_pad_token_id(0)
        writer.add_add_bos_token(True)
        writer.add_add_space_prefix(False)
    else:
        tokens, merges, types = byte_level_vocabulary(config.vocab_size)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2" if config.model_type == "qwen2" else "smollm")
        writer.add_token_merges(merges)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_add_bos_token(False)
        writer.add_chat_template(
            "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
            "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
    writer.add_token_list(tokens)
    writer.add_token_types(types)


def llama3_rope_factors(model):
    """What llama.cpp stores as rope_freqs.weight: the divisor of each rotary frequency."""
    config = model.config
    plain = config.rope_parameters["rope_theta"] ** (-torch.arange(0, config.head_dim, 2).float() / config.head_dim)
    return (plain / model.model.rotary_emb.inv_freq).numpy().astype(np.float32)


def write_gguf(model, path, dtype):
    config = model.config
    arch = {"gemma3_text": "gemma3"}.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(path.stem)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if arch == "gemma3":
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        writer.add_sliding_window(config.sliding_window)
        writer.add_rope_freq_base(config.rope_parameters["full_attention"]["rope_theta"])
    else:
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_vocab_size(config.vocab_size)
    if arch == "llama":
        writer.add_rope_dimension_count(config.head_dim)
    add_tokenizer(writer, config)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config.num_hidden_layers)
    if arch == "llama" and config.rope_parameters["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_rope_factors(model))
    for name, tensor in state_to_store(model, torch.float32).items():
        values = tensor.numpy()
        if arch == "llama" and ("q_proj" in name or "k_proj" in name):
            values = interleaved(values, config.num_attention_heads if "q_proj" in name else config.num_key_value_heads)
        if arch == "gemma3" and "norm" in name:
            values = values + 1.0
        values = values.astype(dtype if values.ndim == 2 else np.float32)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_close(what, got, want):
    error = ((got - want).abs().max() / want.abs().max()).item()
    assert error < 1e-5, f"{what}: relative difference {error:.2g}"


def check_readings(name, model, ids, expected):
    """The other ways to hold the same model give the same logits; the model without the case's feature does not."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)  # in transformers' own style, whichever style the directory has
        check_close(f"{name}, saved anew", evaluate(reload(folder), ids)["logits"], expected["logits"])
    if name in GGUF_TWINS:
        check_close(f"{name}.gguf", evaluate(reload_twin(name), ids)["logits"], expected["logits"])
    if name in WITHOUT:
        other = build(CASES[name] | WITHOUT[name])
        other.load_state_dict(model.state_dict())
        difference = (evaluate(other, ids)["logits"] - expected["logits"]).abs().max().item()
        assert difference > 0.01, f"{name}: changing the feature moves logits by {difference:.2g} only"


def make(name, seed):
    folder = MODELS / name
    folder.mkdir(parents=True)
    model = randomise(build(CASES[name]), seed)
    save_directory(name, model, folder)
    if name in GGUF_TWINS:
        write_gguf(model, MODELS / f"{name}.gguf", GGUF_TWINS[name])

    ids = torch.randint(0, CASES[name]["vocab_size"], (NUM_IDS,), generator=torch.Generator().manual_seed(seed + 1))
    expected = evaluate(reload(folder), ids)
    check_close(name, expected["logits"], evaluate(model, ids)["logits"])
    check_readings(name, model, ids, expected)
    save_file({"ids": ids, **expected}, folder / "expected.safetensors", metadata=VERSIONS)
    entropy = torch.distributions.Categorical(logits=expected["logits"]).entropy().mean().item()
    print(f"{name:20} logits {expected['logits'].std():5.2f} entropy {entropy:5.2f} of {np.log(model.config.vocab_size):.2f}")


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    shutil.rmtree(MODELS, ignore_errors=True)
    for seed, name in enumerate(CASES):
        make(name, 1000 + 10 * seed)
    write_tokenizer_json(MODELS / "llama", CASES["llama"]["vocab_size"])
    size = sum(file.stat().st_size for file in MODELS.rglob("*") if file.is_file())
    print(f"{size:,} bytes under {MODELS.name}/")


if __name__ == "__main__":
    main()
