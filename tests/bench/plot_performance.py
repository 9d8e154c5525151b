#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws what compare_peers.py measured as bars, one panel for each measurement.

    tests/bench/plot_performance.py tests/bench/results/peers-MACHINE.json tests/bench/results/peers-MACHINE.svg
"""

import argparse
import json
import pathlib
from xml.sax.saxutils import escape

BAR, GAP, LETTER, PANEL, VALUES, TOP, TITLE = 15, 4, 6.5, 170, 55, 44, 22  # pixels
OURS, PEERS = "#1f6f8b", "#b9c0c6"


def text(x, y, words, anchor="start", size=11, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-family="sans-serif" font-size="{size}" font-weight="{weight}" '
            f'text-anchor="{anchor}" fill="#222">{escape(words)}</text>')


def panel_title(what):
    words = what.split()
    return f"prompt of {int(words[1]):,} tokens" if words[0] == "prefill" else "decoding, one sequence"


def beside(summary):
    loops = summary.get("busy_loops", 0)
    return f" beside {loops} endless loops" if loops else ""


def peer_versions(summary):
    """Of the peers that have bars."""
    names = {"llama.cpp": "llama-cpp-python", "OpenVINO": "openvino-genai"}
    shown = {name for name in names if any(program.startswith(name) for program in summary["tokens_per_second"])}
    return ", ".join(f"{name} of {names[name]} {summary['versions'][names[name]]}" for name in names if name in shown)


def draw(summary):
    programs = summary["tokens_per_second"]
    whats = [what for what in next(iter(programs.values())) if what.startswith("prefill") or what == "decode"]
    height = TOP + TITLE + len(programs) * (BAR + GAP) + 8
    labels = max(150, 8 + LETTER * max(len(name) for name in programs))
    width = labels + len(whats) * (PANEL + VALUES)
    parts = [text(0, 16, f"Tokens a second, {summary['model']}, {summary['threads']} threads of {summary['processor']}", size=13, weight="bold"),
             text(0, 32, f"{summary['vector_instructions']}, {summary['read_bandwidth_gb_per_s']:.0f} GB/s from memory; medians of "
                         f"{len(summary['rounds'])} rounds in which every program took its turn{beside(summary)}; {peer_versions(summary)}")]
    for row, name in enumerate(programs):
        parts.append(text(labels - 8, TOP + TITLE + row * (BAR + GAP) + BAR - 3, name, "end"))
    for column, what in enumerate(whats):
        left = labels + column * (PANEL + VALUES)
        largest = max(rates[what] for rates in programs.values())
        parts.append(text(left, TOP + 12, panel_title(what), weight="bold"))
        for row, (name, rates) in enumerate(programs.items()):
            y, length = TOP + TITLE + row * (BAR + GAP), PANEL * rates[what] / largest
            colour = OURS if name.startswith("precis") else PEERS
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
            parts.append(text(left + length + 4, y + BAR - 3, f"{rates[what]:,.0f}"))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
            f'<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", type=pathlib.Path, help="the JSON of compare_peers.py")
    parser.add_argument("out", type=pathlib.Path, help="an SVG")
    options = parser.parse_args()
    options.out.write_text(draw(json.loads(options.numbers.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
