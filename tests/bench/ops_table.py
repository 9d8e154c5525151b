# SPDX-License-Identifier: Apache-2.0
"""Prints what ops_bench measured as a Markdown table: ops_table.py FILE.json"""
import json
import sys


def main():
    with open(sys.argv[1]) as file:
        result = json.load(file)
    with open("/proc/cpuinfo") as file:
        processor = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    print(f"{processor}, {result['threads']} threads, ATen picks {result['aten_capability']}. Medians of 15 rounds, turn by turn.\n")
    print("| op | Precis, us | ATen, us | times as fast |")
    print("|---|---|---|---|")
    for row in result["ops"]:
        own, aten = row["precis_us"], row["aten_us"]
        print(f"| {row['op']} | {own:,.1f} | {aten:,.1f} | {aten / own:.2f} |")


main()
