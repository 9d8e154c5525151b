# SPDX-License-Identifier: Apache-2.0
"""Measures what compressing costs and what a memory saves, and ICAE as its published script does it, in transformers.

    tests/bench/compression.sh [OPTIONS]     sets transformers up, then calls this

Every program takes its turn in every round, on every core; the table holds medians over the rounds. The published script of
ICAE reads segments one by one, each followed by its memory tokens, with LoRA beside q and v, and computes the logits of every
row although it wants the hidden states of the memory tokens only (github.com/getao/icae): so does `IcaeReference` here, over
the same model with random LoRA of rank 128 and 128 memory tokens for segments of 512, as published, in the dtype that transformers
prefills faster in. The shipped ICAE has 16 memory tokens for segments of 64 and rank 64.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

import torch
import transformers

from compare_peers import cores, load, machine, output_of, read_bandwidth

SEGMENT, SLOTS, RANK, ALPHA = 512, 128, 128, 32  # of published ICAEs


class Sweep:
    """One of our compressors; `arguments` say which."""

    def __init__(self, options, name, arguments):
        self.options, self.name, self.arguments = options, name, arguments

    def measure(self):
        answer = json.loads(output_of(
            [self.options.precis, "bench", *self.arguments, "--sweep", ",".join(map(str, self.options.lengths)), "--prefill", "16",
             "--decode", "1", "--runs", str(self.options.runs), "--json"]))
        return {str(own["tokens"]): own for own in answer["sweep"]}


class LowRank(torch.nn.Module):
    """A projection with LoRA beside it, not merged."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear
        like = dict(dtype=linear.weight.dtype)
        self.down = torch.nn.Linear(linear.in_features, RANK, bias=False, **like)
        self.up = torch.nn.Linear(RANK, linear.out_features, bias=False, **like)

    def forward(self, x):
        return self.linear(x) + self.up(self.down(x)) * (ALPHA / RANK)


class IcaeReference:
    def __init__(self, options):
        self.options, self.name = options, "ICAE as published, transformers"

    @torch.inference_mode()
    def measure(self):
        model = load(self.options.model, getattr(torch, self.options.transformers_dtype))
        for layer in model.model.layers:
            layer.self_attn.q_proj = LowRank(layer.self_attn.q_proj)
            layer.self_attn.v_proj = LowRank(layer.self_attn.v_proj)
        embed = model.get_input_embeddings()
        slots = torch.randn(1, SLOTS, embed.weight.shape[1], dtype=embed.weight.dtype) * 0.1
        rates = {}
        for length in self.options.lengths:
            ids = torch.randint(0, model.config.vocab_size, (1, length), generator=torch.Generator().manual_seed(length))
            times = []
            for run in range(self.options.runs + 1):  # the first one warms up
                start = time.perf_counter()
                for first in range(0, length, SEGMENT):
                    rows = torch.cat([embed(ids[:, first:first + SEGMENT]), slots], 1)
                    answer = model(inputs_embeds=rows, output_hidden_states=True, use_cache=False)
                    answer.hidden_states[-1][:, -SLOTS:].clone()
                times.append(time.perf_counter() - start)
            rates[str(length)] = {"tokens": length, "rows": -(-length // SEGMENT) * SLOTS, "compress_s": statistics.median(times[1:])}
        return rates


def median_of(turns):
    """Medians of every number of dictionaries that are alike."""
    return {key: statistics.median(turn[key] for turn in turns) for key in turns[0] if all(key in turn for turn in turns)}


def markdown(summary, lengths):
    lines = [f"{summary['model']} on {summary['threads']} threads, {summary['processor']} ({summary['vector_instructions']}), "
             f"{summary['read_bandwidth_gb_per_s']:.1f} GB/s from memory; ms, medians of {len(summary['rounds'])} rounds. First token of an "
             "answer to a question of 32 tokens behind the text: in full, as memory rows that are read, as rows that were read before "
             "(keys and values; a gist is that always).", "",
             "| text | compressor | rows | compress | first token: full | memory | prefilled | KV cache: full | memory | pays after |",
             "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    number = lambda own, key, scale=1e3, unit="": f"{own[key] * scale:,.1f}{unit}" if key in own else ""
    for length in lengths:
        for name, rates in summary["programs"].items():
            own = rates[str(length)]
            uses = f"{own['break_even_uses']:.0f}" if "break_even_uses" in own else ""
            lines.append(f"| {length:,} | {name} | {own['rows']:.0f} | {number(own, 'compress_s')} | "
                         f"{number(own, 'first_token_full_s')} | {number(own, 'first_token_memory_s')} | "
                         f"{number(own, 'first_token_prefilled_s')} | {number(own, 'kv_bytes_full', 1e-6, ' MB')} | "
                         f"{number(own, 'kv_bytes_memory', 1e-6, ' MB')} | {uses} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precis", required=True, help="the precis program")
    parser.add_argument("--model", required=True, help="a GGUF file or a Hugging Face directory")
    parser.add_argument("--shape", default="smollm2-135m", help="of the model, for a SelfCP of 12x whose weights cost what any cost")
    parser.add_argument("--compressors", required=True, help="directory of compressors: ic_former, icae, selfcp, gisting_4x")
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 4096])
    parser.add_argument("--transformers-dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", help="where to write the numbers as OUT.json and the table as OUT.md")
    options = parser.parse_args()

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(cores())
    compressors = pathlib.Path(options.compressors)
    shipped = lambda name, title: Sweep(options, title, ["--model", options.model, "--compressor", str(compressors / name)])
    programs = [shipped("ic_former", "IC-Former, 4x"), shipped("icae", "ICAE, 4x"), shipped("selfcp", "SelfCP, 4x"),
                Sweep(options, "SelfCP, 12x", ["--shape", options.shape, "--method", "selfcp", "--ratio", "12"]),
                shipped("gisting_4x", "Gisting, 4x"), IcaeReference(options)]
    rounds, bandwidths = [], []
    for turn in range(options.rounds):
        bandwidths.append(read_bandwidth())
        rounds.append({program.name: program.measure() for program in programs})
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    summary = machine(options.model, bandwidths) | {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "programs": {program.name: {str(length): median_of([r[program.name][str(length)] for r in rounds])
                                    for length in options.lengths} for program in programs},
        "rounds": rounds,
    }
    table = markdown(summary, options.lengths)
    print(table)
    if options.out:
        pathlib.Path(options.out + ".json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        pathlib.Path(options.out + ".md").write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
