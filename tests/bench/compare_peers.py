# SPDX-License-Identifier: Apache-2.0
"""Measures Precis beside llama.cpp and Hugging Face transformers: prefill and greedy decoding of one sequence.

    tests/bench/peers.sh [OPTIONS]     sets the peers up, then calls this with them

Every program takes its turn in every round, on every core, so that a slow spell of the machine falls on all; the table holds
medians over the rounds, and ratios to the fastest setting of a peer. transformers computes the logits of the last row only,
keeps its cache, and decodes from a short context.
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
PRECIS_WEIGHTS = ["float32", "bfloat16", "int8", "int4"]
TRANSFORMERS_DTYPES = ["float32", "bfloat16"]


def output_of(line):
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{line[0]}: exit code {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


class Precis:
    def __init__(self, options, weights):
        self.options, self.weights, self.name = options, weights, f"precis {weights}"

    def measure(self):
        lengths = ",".join(str(n) for n in self.options.prefill)
        answer = json.loads(output_of(
            [self.options.precis, "bench", "--model", self.options.model, "--prefill", lengths, "--decode", str(self.options.decode),
             "--context", str(DECODE_CONTEXT), "--runs", str(self.options.runs), "--weights", self.weights, "--json"]))
        return {f"prefill {n}": rate for n, rate in answer["prefill"].items()} | {
            "decode": answer["decode"], "peak MB": answer["peak_bytes"] / 1e6}


class LlamaCpp:
    """A GGUF file in one of llama.cpp's formats."""

    def __init__(self, options, model):
        self.options, self.model = options, pathlib.Path(model)
        self.name = f"llama.cpp {self.model.stem.rsplit('.', 1)[-1]}"

    def measure(self):
        runs = json.loads(output_of(
            [self.options.llama_bench, "-m", self.model, "-t", str(cores()), "-r", str(self.options.runs), "-o", "json",
             "-p", ",".join(str(n) for n in self.options.prefill), "-n", str(self.options.decode), "-d", "0"]))
        rates = {}
        for run in runs:
            what = f"prefill {run['n_prompt']}" if run["n_prompt"] else "decode"
            rates[what] = statistics.median(run["samples_ts"])
        return rates


class Transformers:
    """Loaded anew in every turn, so that no other program shares the memory with it."""

    def __init__(self, options, dtype):
        self.options, self.dtype, self.name = options, dtype, f"transformers {dtype}"

    def measure(self):
        model = load(self.options.model, getattr(torch, self.dtype))
        repeat = lambda rate, count: statistics.median(rate(model, count) for _ in range(self.options.runs))
        prefill_rate(model, 16), decode_rate(model, 2)  # warm up
        rates = {f"prefill {n}": repeat(prefill_rate, n) for n in self.options.prefill}
        rates["decode"] = repeat(decode_rate, self.options.decode)
        del model
        gc.collect()
        return rates


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


def cores():
    return len(os.sched_getaffinity(0))


def read_bandwidth():
    """GB/s at which all cores together read memory that no cache holds: the ceiling of decoding."""
    numbers = torch.ones(1 << 28, dtype=torch.uint8).view(torch.float32)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        numbers.sum()
        times.append(time.perf_counter() - start)
    return numbers.nbytes / min(times) / 1e9


def processor():
    if pathlib.Path("/proc/cpuinfo").exists():
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def machine(model, bandwidths):
    """What figures are of."""
    return {
        "model": pathlib.Path(model).name, "threads": cores(), "processor": processor(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "read_bandwidth_gb_per_s": statistics.median(bandwidths),
    }


def summarise(options, rounds, bandwidths):
    """Medians per program; every single round is kept beside them."""
    programs = {name: {what: statistics.median(r[name][what] for r in rounds) for what in rounds[0][name]} for name in rounds[0]}
    return machine(options.model, bandwidths) | {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "llama-cpp-python": options.llama_version},
        "tokens_per_second": programs, "rounds": rounds, "bandwidths": bandwidths,
    }


def markdown(summary, whats):
    programs = summary["tokens_per_second"]
    peers = [name for name in programs if not name.startswith("precis")]
    best = {what: max(programs[name].get(what, 0) for name in peers) for what in whats}
    versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    lines = [f"{summary['model']} on {summary['threads']} threads, {summary['processor']} ({summary['vector_instructions']}), "
             f"{summary['read_bandwidth_gb_per_s']:.1f} GB/s from memory; {versions}. Tokens/s, in brackets: ratio to the fastest peer.",
             "", "| | " + " | ".join(whats) + " |", "|---|" + "---:|" * len(whats)]
    for name, rates in programs.items():
        cells = []
        for what in whats:
            ratio = f" ({rates[what] / best[what]:.2f})" if name.startswith("precis") and best[what] else ""
            cells.append(f"{rates[what]:,.1f}{ratio}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precis", required=True, help="the precis program")
    parser.add_argument("--model", required=True, help="a GGUF file or a Hugging Face directory")
    parser.add_argument("--llama-bench", help="llama.cpp's program")
    parser.add_argument("--llama-models", nargs="*", default=[], help="NAME.FORMAT.gguf, the same model in llama.cpp's formats")
    parser.add_argument("--llama-version", default="none")
    parser.add_argument("--prefill", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--decode", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each program (default 3)")
    parser.add_argument("--runs", type=int, default=3, help="runs in a turn, of which the median counts (default 3)")
    parser.add_argument("--out", help="where to write the numbers as OUT.json and the table as OUT.md")
    options = parser.parse_args()

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(cores())
    programs = [Precis(options, weights) for weights in PRECIS_WEIGHTS]
    programs += [LlamaCpp(options, model) for model in options.llama_models]
    programs += [Transformers(options, dtype) for dtype in TRANSFORMERS_DTYPES]
    rounds, bandwidths = [], []
    for turn in range(options.rounds):
        bandwidths.append(read_bandwidth())
        rounds.append({program.name: program.measure() for program in programs})
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    summary = summarise(options, rounds, bandwidths)
    table = markdown(summary, [f"prefill {n}" for n in options.prefill] + ["decode"])
    print(table)
    if options.out:
        pathlib.Path(options.out + ".json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        pathlib.Path(options.out + ".md").write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
