# SPDX-License-Identifier: Apache-2.0
"""Prints what gpu.sh measured as Markdown tables: gpu_table.py OUT. What was not measured is left out."""

import json
import pathlib
import sys

from gpu_shapes import SHAPES

SIZES = {"8x2048": (8, 2048, "8x512-2048"), "8x512": (8, 512, "8x512-2048"), "32x512": (32, 512, "32x512")}


def load(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def text(cell):
    if not isinstance(cell, (int, float)):
        return cell or ""
    return f"{cell:,.0f}" if cell >= 1000 else f"{cell:.4g}"


def table(title, heads, rows):
    if not rows:
        return
    print(f"\n## {title}\n\n| " + " | ".join(heads) + " |\n|---|" + "---:|" * (len(heads) - 1))
    for row in rows:
        print("| " + " | ".join(map(text, row)) + " |")


def share(part, whole):
    return f"{100 * part / whole:.0f} %" if part and whole else None


def times(own, other):
    return f"{own / other:.2f}" if own and isinstance(other, (int, float)) else None


def ops(result):
    rows = [[row["op"], row["us"], row.get("gb_per_s"), row.get("tflop_per_s"), f"{100 * row['of_ceiling']:.0f} %", row.get("aten_over_own")]
            for row in result.get("ops", [])]
    table("Ops, CUDA events", ["op", "us", "GB/s", "TFLOP/s", "of what a copy or product reached", "ATen's time over ours"], rows)


class Shape:
    """What a pass over a model of the shape reads and computes."""

    def __init__(self, name):
        own = SHAPES[name]
        self.hidden, self.layers, self.vocabulary = own["hidden_size"], own["num_hidden_layers"], own["vocab_size"]
        keys = self.hidden * own["num_key_value_heads"] // own["num_attention_heads"]
        self.in_layers = self.layers * self.hidden * (2 * self.hidden + 2 * keys + 3 * own["intermediate_size"])
        self.looked_up = 0 if own["tie_word_embeddings"] else self.vocabulary * self.hidden

    def bytes_of_step(self, weight_bytes):  # in bfloat16; of an embedding a row is read
        return weight_bytes - 2 * self.looked_up

    def operations(self, tokens):  # of a prompt, whose last row alone has logits
        return 2 * tokens * self.in_layers + 2 * self.layers * self.hidden * tokens * tokens + 2 * self.hidden * self.vocabulary


def model(out, name, ceilings):
    shape, published = Shape(name), load(out / f"transformers-{name}.json")
    rows = []
    for weights in ["bfloat16", "int8", "int4"]:
        own = load(out / f"bench-{name}-{weights}.json")
        if not own:
            continue
        speed = own["decode"] * shape.bytes_of_step(own["weight_bytes"]) / 1e9 if weights == "bfloat16" else None
        rows.append([f"decode, {weights}", own["decode"], share(speed, ceilings.get("copy_gb_per_s")),
                     times(own["decode"], published.get("decode eager")), times(own["decode"], published.get("decode static cache, CUDA graph"))])
        for tokens, rate in own["prefill"].items():
            count = int(tokens)
            speed = shape.operations(count) * rate / count / 1e12 if weights == "bfloat16" else None
            rows.append([f"prefill of {tokens}, {weights}", rate, share(speed, ceilings.get("product_tflop_per_s")),
                         times(rate, published.get(f"prefill {tokens}")), None])
    own = load(out / f"batch-{name}.json")
    if own:
        rows.append([f"decode of {own['batch']}, {own['weights']}", own["decode"], None, None, None])
    table(name, ["", "tokens/s", "of what a copy (decode) or product (prefill) reached", "times transformers, eager", "times its static cache, CUDA graph"],
          rows)


def compressors(out, name):
    published, rows = load(out / f"published-compressors-{name}.json"), []
    for size, (batch, length, file) in SIZES.items():
        cells = {}
        for method in ["ic-former", "ic-former-token-table", "icae"]:
            sweep = load(out / f"compress-{name}-{method}-{file}.json").get("sweep", [])
            cells[method] = next((1e3 * own["compress_s"] for own in sweep if own["tokens"] == length and own["batch"] == batch), None)
        theirs = {what: 1e3 * t for what, t in published.get(size, {}).items() if isinstance(t, (int, float))}
        icae = theirs.get("ICAE as published")
        if cells or theirs:
            rows.append([size, *cells.values(), theirs.get("IC-Former as published"), icae, theirs.get("reads it all"),
                         times(icae, cells["ic-former"]), times(icae, cells["ic-former-token-table"])])
    table(f"Compressing, {name}, ms", ["texts x tokens", "IC-Former", "with a token table", "ICAE", "IC-Former as published", "ICAE as published",
                                       "the model reads it all", "published ICAE over IC-Former", "with a token table"],
          [row for row in rows if any(cell is not None for cell in row[1:])])


def main():
    out = pathlib.Path(sys.argv[1])
    for line in (out / "device.txt").read_text(encoding="utf-8").splitlines()[1:]:
        print(f"# {line}")
    ceilings = load(out / "ops.json")
    if ceilings:
        print(f"\nA copy moved {ceilings['copy_gb_per_s']:,.0f} GB/s, read and written; a bfloat16 product of 8,192 reached "
              f"{ceilings['product_tflop_per_s']:,.0f} TFLOP/s.")
    for tests in [out / "tests.txt", out / "commands.txt"]:
        if tests.exists():
            lines = tests.read_text(encoding="utf-8").splitlines()
            print(f"\n{tests.name}: " + "; ".join(line.strip() for line in lines if line.startswith("[  ") and " test" in line))
    ops(ceilings)
    for name in ["llama-2-7b", "smollm2-135m"]:
        model(out, name, ceilings)
        compressors(out, name)
    failed = out / "failed"
    if failed.exists():
        print("\n## Failed\n\n" + failed.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
