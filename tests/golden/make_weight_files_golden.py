# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/weight_files: a tiny Llama in files that are unusual and that transformers reads, and its logits.

Each case is a Hugging Face directory with `expected.safetensors` beside its weights: `ids` [n] int64, `logits` [n, vocab],
float32, as transformers computes them from the directory.

    third_party/install.sh --oracles
    .deps/venv/bin/python tests/golden/make_weight_files_golden.py
"""

import json
import pathlib
import shutil
import struct

import torch
import transformers
from make_model_golden import LLAMA, VERSIONS, build, check_close, evaluate, randomise, reload
from safetensors.torch import save, save_file

FILES = pathlib.Path(__file__).resolve().parent / "weight_files"
CONFIG = LLAMA | dict(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, torch_dtype="bfloat16")
EMBEDDING, HEAD, NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
FORMAT = {"format": "pt"}


def save_single(state, folder):
    save_file(state, folder / "model.safetensors", metadata=FORMAT)


def write_index(weight_map, folder):
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def tied_other_head(config, state, folder):
    """The configuration ties the head, the file has one with other numbers: that one counts."""
    save_single(state, folder)
    return config | dict(tie_word_embeddings=True)


def tied_head_alone(config, state, folder):
    """Of a tied pair the file has the head only."""
    save_single({name: tensor for name, tensor in state.items() if name != EMBEDDING}, folder)
    return config | dict(tie_word_embeddings=True)


def buffers(config, state, folder):
    """What older checkpoints and quantisers of caches leave beside the weights, and metadata that is null."""
    tables, layer = torch.arange(32.0).view(1, 1, 4, 8).bfloat16(), "model.layers.{}.self_attn."
    extra = {
        "model.rotary_emb.inv_freq": torch.tensor([7.0, 5.0, 3.0, 2.0]),
        layer.format(0) + "rotary_emb.inv_freq": torch.tensor([1.0, 0.5, 0.25, 0.125]),
        layer.format(0) + "rotary_emb.cos_cached": tables,
        layer.format(0) + "rotary_emb.sin_cached": -tables,
        layer.format(1) + "k_scale": torch.tensor(0.5),
        layer.format(1) + "v_scale": torch.tensor([2.0]),
        layer.format(1) + "k_proj.k_scale": torch.tensor(3.0),
        "model.position_ids": torch.arange(8).view(1, 8),
    }
    file = save(state | extra)
    size = struct.unpack("<Q", file[:8])[0]
    header = json.dumps({"__metadata__": None} | json.loads(file[8 : 8 + size])).encode()
    header += b" " * (-len(header) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + file[8 + size :])
    return config


def single_beside_stale_index(config, state, folder):
    """An index of shards that are not there beside a file that has everything."""
    save_single(state, folder)
    write_index({name: SHARDS[i % 2] for i, name in enumerate(sorted(state))}, folder)
    return config


def overlapping_shards(config, state, folder):
    """A tensor in both shards, of which the last one counts, one that the index does not list, one that no shard has."""
    first = {name: tensor for i, (name, tensor) in enumerate(sorted(state.items())) if i % 2 == 0}
    second = {name: tensor for name, tensor in state.items() if name not in first}
    for shard in (first, second):
        shard.pop(NORM, None)
    first[NORM], second[NORM] = state[NORM] * 3, state[NORM]
    for shard, file in zip((first, second), SHARDS):
        save_file(shard, folder / file, metadata=FORMAT)
    weight_map = {name: SHARDS[name not in first] for name in sorted(state)}
    del weight_map[HEAD]
    write_index(weight_map | {"model.layers.9.mlp.up_proj.weight": SHARDS[1]}, folder)
    return config


def infinity_in_config(config, state, folder):
    """Numbers that Python writes into JSON, and nobody else reads."""
    save_single(state, folder)
    return config | dict(router_aux_loss_coef=float("inf"), dropout=float("-inf"),
                         router_jitter_noise=float("nan"))


CASES = [tied_other_head, tied_head_alone, buffers, single_beside_stale_index, overlapping_shards, infinity_in_config]


@torch.no_grad()
def make(case, seed):
    folder = FILES / case.__name__
    folder.mkdir(parents=True)
    model = randomise(build(CONFIG), seed)
    state = {name: tensor.bfloat16().contiguous() for name, tensor in model.state_dict().items()}
    config = case(CONFIG, state, folder)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    ids = torch.randint(0, CONFIG["vocab_size"], (12,), generator=torch.Generator().manual_seed(seed + 1))
    if case is tied_head_alone:
        model.model.embed_tokens.weight.copy_(model.lm_head.weight)
    expected = evaluate(reload(folder), ids)["logits"]
    check_close(case.__name__, expected, evaluate(model, ids)["logits"])
    save_file({"ids": ids, "logits": expected}, folder / "expected.safetensors", metadata=VERSIONS)


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    shutil.rmtree(FILES, ignore_errors=True)
    for seed, case in enumerate(CASES):
        make(case, 3000 + 10 * seed)
    size = sum(file.stat().st_size for file in FILES.rglob("*") if file.is_file())
    print(f"{size:,} bytes under {FILES.name}/")


if __name__ == "__main__":
    main()
