# SPDX-License-Identifier: Apache-2.0
"""Measures Precis beside llama.cpp, OpenVINO GenAI and transformers: prefill and greedy decoding of one sequence.

    tests/bench/peers.sh [OPTIONS]     sets the peers up, then calls this with them

Every program takes its turn in every round, on every core (or with --threads), so that a slow spell of the machine falls on all;
the table holds medians over the rounds, and ratios to the fastest setting of a peer. transformers computes the logits of the last
row only, keeps its cache, and decodes from a short context. With --busy, endless loops run beside each round, and a second table
compares the numbers of threads.
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

from busy_loops import busy_loops

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

    def measure(self, threads):
        lengths = ",".join(str(n) for n in self.options.prefill)
        answer = json.loads(output_of(
            [self.options.precis, "bench", "--model", self.options.model, "--prefill", lengths, "--decode", str(self.options.decode),
             "--context", str(DECODE_CONTEXT), "--runs", str(self.options.runs), "--weights", self.weights,
             "--threads", str(threads), "--json"]))
        return {f"prefill {n}": rate for n, rate in answer["prefill"].items()} | {
            "decode": answer["decode"], "peak MB": answer["peak_bytes"] / 1e6}


class LlamaCpp:
    """A GGUF file in one of llama.cpp's formats, and the llama-bench that reads it."""

    def __init__(self, options, program, model):
        self.options, self.program, self.model = options, program, model
        self.name = f"llama.cpp {format_of(model)}"

    def measure(self, threads):
        runs = json.loads(output_of(
            [self.program, "-m", self.model, "-t", str(threads), "-r", str(self.options.runs), "-o", "json",
             "-p", ",".join(str(n) for n in self.options.prefill), "-n", str(self.options.decode), "-d", "0"]))
        rates = {}
        for run in runs:
            what = f"prefill {run['n_prompt']}" if run["n_prompt"] else "decode"
            rates[what] = statistics.median(run["samples_ts"])
        return rates


class OpenVino:
    """In a process and a Python of its own: its threads and torch's stay apart."""

    def __init__(self, options, model):
        self.options, self.model, self.name = options, model, f"OpenVINO {format_of(model)}"

    def measure(self, threads):
        # Its frontends may write to standard output too: the rates are the last line.
        return json.loads(output_of(
            [self.options.openvino_python, pathlib.Path(__file__).with_name("openvino_bench.py"), "--model", self.model,
             "--threads", str(threads), "--prefill", *(str(n) for n in self.options.prefill), "--context", str(DECODE_CONTEXT),
             "--decode", str(self.options.decode), "--runs", str(self.options.runs)]).splitlines()[-1])


class Transformers:
    """Loaded anew in every turn, so that no other program shares the memory with it."""

    def __init__(self, options, dtype):
        self.options, self.dtype, self.name = options, dtype, f"transformers {dtype}"

    def measure(self, threads):
        torch.set_num_threads(threads)
        model = load(self.options.model, getattr(torch, self.dtype))
        repeat = lambda rate, count: statistics.median(rate(model, count) for _ in range(self.options.runs))
        prefill_rate(model, 16), decode_rate(model, 2)  # warm up
        rates = {f"prefill {n}": repeat(prefill_rate, n) for n in self.options.prefill}
        rates["decode"] = repeat(decode_rate, self.options.decode)
        del model
        gc.collect()
        torch.set_num_threads(cores())
        return rates


def format_of(model):
    """Q8_0 of NAME.Q8_0.gguf."""
    return pathlib.Path(model).stem.rsplit(".", 1)[-1]


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


class Turn:
    """A program with a number of threads, which its name tells where there are several."""

    def __init__(self, program, threads, several):
        self.program, self.threads = program, threads
        self.name = f"{program.name}, {counted(threads)}" if several else program.name

    def measure(self):
        return self.program.measure(self.threads)


def counted(threads):
    return f"{threads} thread{'' if threads == 1 else 's'}"


def summarise(options, rounds, bandwidths):
    """Medians per program; every single round is kept beside them."""
    programs = {name: {what: statistics.median(r[name][what] for r in rounds) for what in rounds[0][name]} for name in rounds[0]}
    return machine(options.model, bandwidths) | {
        "threads": " and ".join(str(n) for n in options.threads) if len(options.threads) > 1 else options.threads[0],
        "busy_loops": options.busy,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "llama-cpp-python": options.llama_version,
                     "openvino-genai": options.openvino_version},
        "tokens_per_second": programs, "rounds": rounds, "bandwidths": bandwidths,
    }


def markdown(summary, whats):
    programs = summary["tokens_per_second"]
    peers = [name for name in programs if not name.startswith("precis")]
    best = {what: max((programs[name].get(what, 0) for name in peers), default=0) for what in whats}
    versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    loops = f", beside {summary['busy_loops']} endless loops" if summary["busy_loops"] else ""
    lines = [f"{summary['model']} on {summary['threads']} threads{loops}, {summary['processor']} ({summary['vector_instructions']}), "
             f"{summary['read_bandwidth_gb_per_s']:.1f} GB/s from memory; {versions}. Tokens/s, in brackets: ratio to the fastest peer.",
             "", *table_head(whats)]
    for name, rates in programs.items():
        cells = []
        for what in whats:
            ratio = f" ({rates[what] / best[what]:.2f})" if name.startswith("precis") and best[what] else ""
            cells.append(f"{rates[what]:,.1f}{ratio}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def thread_markdown(rounds, programs, threads, whats):
    """Rates as parts of those with the first number of threads; the two of a ratio are of one round."""
    lines = [f"Rates as parts of those with {counted(threads[0])}, medians over the rounds' own ratios.", "", *table_head(whats)]
    for program in programs:
        base = f"{program.name}, {counted(threads[0])}"
        for name in (f"{program.name}, {counted(n)}" for n in threads[1:]):
            ratios = (statistics.median(r[name][what] / r[base][what] for r in rounds) for what in whats)
            lines.append(f"| {name} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
    return "\n".join(lines)


def table_head(whats):
    return ["| | " + " | ".join(whats) + " |", "|---|" + "---:|" * len(whats)]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precis", required=True, help="the precis program")
    parser.add_argument("--model", required=True, help="a GGUF file or a Hugging Face directory")
    parser.add_argument("--llama", nargs=2, action="append", default=[], metavar=("LLAMA_BENCH", "NAME.FORMAT.gguf"),
                        help="llama.cpp's program and the same model in one of its formats; may be given several times")
    parser.add_argument("--llama-version", default="none")
    parser.add_argument("--openvino-python", help="a Python that has openvino-genai")
    parser.add_argument("--openvino-models", nargs="*", default=[], help="NAME.FORMAT.gguf, the same model for OpenVINO")
    parser.add_argument("--openvino-version", default="none")
    parser.add_argument("--prefill", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--decode", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each program (default 3)")
    parser.add_argument("--runs", type=int, default=3, help="runs in a turn, of which the median counts (default 3)")
    parser.add_argument("--threads", type=int, nargs="+",
                        help="numbers of threads, each with a turn of its own (default: one for each core; with --busy also 1)")
    parser.add_argument("--busy", type=int, nargs="?", const=cores(), default=0, metavar="LOOPS",
                        help="endless loops beside the programs (default: none; without a number: one for each core)")
    parser.add_argument("--programs", nargs="+",
                        help="beginnings of the names of those to measure (default: all; with --busy: precis llama.cpp)")
    parser.add_argument("--out", help="where to write the numbers as OUT.json and the table as OUT.md")
    options = parser.parse_args()
    options.threads = sorted(set(options.threads or ([1, cores()] if options.busy else [cores()])))
    options.programs = options.programs or (["precis", "llama.cpp"] if options.busy else [""])
    if options.threads[0] < 1 or options.busy < 0 or options.rounds < 1 or options.runs < 1:
        parser.error("--threads, --rounds and --runs are at least 1, --busy is at least 0")
    if options.openvino_models and not options.openvino_python:
        parser.error("--openvino-models needs --openvino-python")
    return options


def chosen_programs(options):
    programs = [Precis(options, weights) for weights in PRECIS_WEIGHTS]
    programs += [LlamaCpp(options, program, model) for program, model in options.llama]
    programs += [OpenVino(options, model) for model in options.openvino_models]
    programs += [Transformers(options, dtype) for dtype in TRANSFORMERS_DTYPES]
    chosen = [program for program in programs if program.name.startswith(tuple(options.programs))]
    if not chosen:
        sys.exit(f"--programs: none of {', '.join(program.name for program in programs)} begins so")
    return chosen


def main():
    options = arguments()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(cores())
    programs = chosen_programs(options)
    turns = [Turn(program, threads, len(options.threads) > 1) for program in programs for threads in options.threads]
    rounds, bandwidths = [], []
    for number in range(options.rounds):
        bandwidths.append(read_bandwidth())  # without the loops
        with busy_loops(options.busy):
            rounds.append({turn.name: turn.measure() for turn in turns})
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    summary = summarise(options, rounds, bandwidths)
    whats = [f"prefill {n}" for n in options.prefill] + ["decode"]
    table = markdown(summary, whats)
    if len(options.threads) > 1:
        table += "\n\n" + thread_markdown(rounds, programs, options.threads, whats)
    print(table)
    if options.out:
        pathlib.Path(options.out + ".json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        pathlib.Path(options.out + ".md").write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
