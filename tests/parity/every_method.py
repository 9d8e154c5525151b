#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every method over every real model: a compressor is made and trained for a few steps, a document compressed, a question
answered from its memory. Says that the parts work together, not that what a barely trained compressor says is of use.

    tests/parity/every_method.py [--program build/precis] [--models .deps/models] [--steps 2]

The models are those that `third_party/install.sh --oracles` sets up. Prints a table, and fails where a command does.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "examples" / "documents" / "harrow_bay_lighthouse.txt"
METHODS = {
    "selfcp": ["--ratio", "4"],
    "icae": ["--slots", "16", "--rank", "8", "--max-segment", "128"],
    "gisting": ["--slots", "8", "--rank", "8"],
    "ic-former": ["--slots", "16", "--max-segment", "128"],
}


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))}\n{done.stderr}")
    return json.loads(done.stdout)


def first_words(text, count):
    return " ".join(text.split()[:count])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "build" / "precis")
    parser.add_argument("--models", type=pathlib.Path, default=ROOT / ".deps" / "models")
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    models = sorted(options.models.glob("*.gguf"))
    if not models:
        sys.exit(f"{options.models}: no models; run third_party/install.sh --oracles")
    text = DOCUMENT.read_text()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "texts.jsonl").write_text(json.dumps({"text": text}) + "\n")
        (folder / "part.txt").write_text(first_words(text, 200))
        print("| model | method | parameters | tokens | memory tokens | bytes | prompt rows | answer |")
        print("|---|---|---:|---:|---:|---:|---:|---|")
        for model in models:
            for method, flags in METHODS.items():
                own = folder / model.stem / method
                train = ["--steps", options.steps, "--batch", 2, "--min-older", 64, "--max-older", 128, "--target", 32]
                run(options.program, "train", "--model", model, "--method", method, *flags, "--data",
                    folder / "texts.jsonl", "--out", own, *train)
                described = run(options.program, "info", "--model", model, "--compressor", own)
                memory = run(options.program, "compress", "--model", model, "--compressor", own, "--file",
                             folder / "part.txt", "--out", own / "memory.safetensors")
                answer = run(options.program, "generate", "--model", model, "--compressor", own, "--memory",
                             own / "memory.safetensors", "--use", "instruct", "--prompt", "What is this about?",
                             "--max-tokens", 12, "--json")
                print(f"| {model.stem} | {method} | {described['compressor']['parameters']:,} | "
                      f"{memory['source_tokens']} | {memory['memory_tokens']} | {memory['bytes']:,} | "
                      f"{answer['prompt_rows']} | {json.dumps(answer['text'])} |", flush=True)


if __name__ == "__main__":
    main()
