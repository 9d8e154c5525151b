#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answers to questions about documents, from the full text, from its memory and from nothing, as a Markdown table.

The table of a compressor's card: whether an answer is right is for a reader to say. Memories stand in a turn of the
model's chat; --use instruct puts around them what their compressor was trained with.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile


def answer(program, model, question, extra, max_tokens):
    command = [program, "generate", "--model", model, "--json", "--temperature", "0",
               "--max-tokens", str(max_tokens), "--prompt", question, *extra]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="build/precis")
    parser.add_argument("--model", required=True)
    parser.add_argument("--compressor", required=True)
    parser.add_argument("--questions", default="examples/documents/questions.jsonl",
                        help='JSON Lines: "context", "prompt", "answers"')
    parser.add_argument("--ratio", type=float, help="of a compressor that obeys one")
    parser.add_argument("--use", choices=["instruct"])
    parser.add_argument("--max-tokens", type=int, default=40)
    options = parser.parse_args()
    rows = [json.loads(line) for line in pathlib.Path(options.questions).read_text().splitlines()]
    if not rows:
        parser.error(f"{options.questions}: holds no questions")
    use = ["--use", options.use] if options.use else []
    if options.ratio:
        use += ["--ratio", str(options.ratio)]
    print("| question | wanted | from the full text | from the memory | from nothing |")
    print("|---|---|---|---|---|")
    tokens = memory_rows = 0
    with tempfile.TemporaryDirectory() as directory:
        document = pathlib.Path(directory) / "document.txt"
        for row in rows:
            document.write_text(row["context"])
            arms = [["--context-file", document],
                    ["--compressor", options.compressor, "--compress-file", document, *use],
                    []]
            said = [answer(options.program, options.model, row["prompt"], map(str, arm), options.max_tokens)
                    for arm in arms]
            tokens += said[1]["compressed_tokens"]
            memory_rows += said[1]["memory_rows"]
            print("|", " | ".join([cell(row["prompt"]), cell(row["answers"][0])] +
                                  [cell(one["text"]) for one in said]), "|", flush=True)
    print(f"\n{tokens / memory_rows:.1f} text tokens for each memory row.")


if __name__ == "__main__":
    main()
