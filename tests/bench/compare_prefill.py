# SPDX-License-Identifier: Apache-2.0
"""Measures `precis bench` against Hugging Face transformers in bfloat16: prefill and greedy decoding, batch 1.

    third_party/install.sh --oracles
    .deps/venv/bin/python tests/bench/compare_prefill.py --precis build/precis --model MODEL.gguf|DIRECTORY --out bench.json

The two take turns (A B A B ...), each on every core, so that a slow spell of the machine falls on both; the table holds
medians. transformers computes the logits of the last row only, keeps its cache, and decodes from a short context.
On a processor without bfloat16 instructions its bfloat16 is many times slower than its float32: there,
`--reference-dtype float32` is the fair opponent.
"""

import argparse
import gc
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import torch
import transformers
from transformers import AutoModelForCausalLM

DECODE_CONTEXT = 16  # ids before the first decoded one


def load(path, dtype):
    path = pathlib.Path(path)
    where = dict(pretrained_model_name_or_path=path)
    if path.is_file():
        where = dict(pretrained_model_name_or_path=path.parent, gguf_file=path.name)
    return AutoModelForCausalLM.from_pretrained(**where, dtype=dtype, attn_implementation="sdpa").eval()


def random_ids(model, count):
    return torch.randint(0, model.config.vocab_size, (1, count), generator=torch.Generator().manual_seed(count))


@torch.inference_mode()
def prefill_rate(model, count):
    ids = random_ids(model, count)
    start = time.perf_counter()
    model(ids, use_cache=True, logits_to_keep=1)
    return count / (time.perf_counter() - start)


@torch.inference_mode()
def decode_rate(model, count):
    answer = model(random_ids(model, DECODE_CONTEXT), use_cache=True, logits_to_keep=1)
    start = time.perf_counter()
    for _ in range(count):
        token = answer.logits[:, -1].argmax(-1, keepdim=True)
        answer = model(token, past_key_values=answer.past_key_values, use_cache=True)
    return count / (time.perf_counter() - start)


def run_transformers(model, options):
    """Medians of several runs, as precis bench gives them."""
    repeat = lambda rate, count: statistics.median(rate(model, count) for _ in range(options.runs))
    return {"prefill": repeat(prefill_rate, options.prefill), "decode": repeat(decode_rate, options.decode)}


def run_precis(options):
    line = [options.precis, "bench", "--model", options.model, "--prefill", str(options.prefill),
            "--decode", str(options.decode), "--weights", options.weights, "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"precis bench: exit code {done.returncode}: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    return {"prefill": answer["prefill"][str(options.prefill)], "decode": answer["decode"],
            "load_s": answer.get("load_s"), "peak_bytes": answer.get("peak_bytes")}


def processor():
    if pathlib.Path("/proc/cpuinfo").exists():
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def summarise(options, rounds):
    """Medians per program and the ratio; every single round is kept beside them."""
    median = lambda program, what: statistics.median(r[program][what] for r in rounds)
    table = {what: {"precis": median("precis", what), "transformers": median("transformers", what)}
             for what in ("prefill", "decode")}
    for row in table.values():
        row["ratio"] = row["precis"] / row["transformers"]
    return {
        "model": pathlib.Path(options.model).name, "prefill": options.prefill, "decode": options.decode,
        "weights": options.weights, "reference_dtype": options.reference_dtype, "threads": torch.get_num_threads(), "processor": processor(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "tokens_per_second": table, "rounds": rounds,
    }


def markdown(summary):
    names = {"prefill": f"prefill of {summary['prefill']}", "decode": f"greedy decode of {summary['decode']}"}
    lines = [f"{summary['model']}, {summary['weights']} (transformers: {summary['reference_dtype']}), "
             f"{summary['threads']} threads, {summary['processor']} ({summary['vector_instructions']}), "
             f"transformers {summary['versions']['transformers']}, torch {summary['versions']['torch']}", "",
             "| tokens/s | precis | transformers | ratio |", "|---|---:|---:|---:|"]
    lines += [f"| {names[what]} | {row['precis']:,.1f} | {row['transformers']:,.1f} | {row['ratio']:.2f} |"
              for what, row in summary["tokens_per_second"].items()]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precis", required=True, help="the precis program")
    parser.add_argument("--model", required=True, help="a GGUF file or a Hugging Face directory")
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each program (default 3)")
    parser.add_argument("--runs", type=int, default=3, help="runs of transformers in a turn (default 3)")
    parser.add_argument("--weights", choices=["bfloat16", "float32"], default="bfloat16", help="of precis")
    parser.add_argument("--reference-dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--out", help="where to write the numbers as JSON")
    options = parser.parse_args()

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = load(options.model, getattr(torch, options.reference_dtype))
    gc.collect()
    prefill_rate(model, options.prefill), decode_rate(model, 4)  # warm up

    rounds = []
    for turn in range(options.rounds):
        rounds.append({"transformers": run_transformers(model, options), "precis": run_precis(options)})
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    summary = summarise(options, rounds)
    print(markdown(summary))
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
