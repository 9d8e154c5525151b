# SPDX-License-Identifier: Apache-2.0
"""What a memory is worth: mean negative log-likelihood (nats a token) of 64 tokens that follow 32 kept ones, where the older
part of the text is left out (none), read as a memory, or read in full. Goes through `precis tokenize` and `precis score`.

    python3 tests/bench/recovery.py --precis build/precis --model M --compressor C --texts texts.jsonl [--older 64] [--limit 40]

Recovered share: (none - memory) / (none - full).
"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import tempfile

KEPT, SCORED = 32, 64


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("precis", "model", "compressor", "texts"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--older", type=int, default=64)
    parser.add_argument("--limit", type=int, default=40)
    return parser.parse_args()


class Program:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder

    def file(self, name, content):
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return str(path)

    def run(self, command, *rest):
        line = [self.options.precis, command, "--model", self.options.model, *rest]
        return json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)

    def ids(self, text):
        return self.run("tokenize", "--file", self.file("text.txt", text))["ids"]

    def nll(self, ids, context=None):
        rest = ["--ids", self.file("ids.json", json.dumps(ids))]
        if context is not None:
            rest += ["--compressor", self.options.compressor, "--context-ids", self.file("older.json", json.dumps(context))]
        return statistics.fmean(self.run("score", *rest)["nll"][-SCORED:])


def interval(values):
    """95 % bootstrap interval of the mean."""
    draw = random.Random(0)
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(2000))
    return means[50], means[1949]


def main():
    options = arguments()
    arms = {"none": [], "memory": [], "full": []}
    with tempfile.TemporaryDirectory() as folder:
        program = Program(options, pathlib.Path(folder))
        for line in open(options.texts, encoding="utf-8"):
            ids = program.ids(json.loads(line)["text"])
            if len(ids) < options.older + KEPT + SCORED:
                continue
            older, rest = ids[: options.older], ids[options.older :][: KEPT + SCORED]
            arms["none"].append(program.nll(rest))
            arms["memory"].append(program.nll(rest, older))
            arms["full"].append(program.nll(older + rest))
            if len(arms["none"]) == options.limit:
                break
    means = {arm: statistics.fmean(values) for arm, values in arms.items()}
    gains = [none - memory for none, memory in zip(arms["none"], arms["memory"])]
    low, high = interval(gains)
    print(json.dumps({
        "texts": len(gains), "older": options.older, **means,
        "gain": means["none"] - means["memory"], "gain_95": [low, high],
        "recovered_share": (means["none"] - means["memory"]) / (means["none"] - means["full"]),
    }))


main()
