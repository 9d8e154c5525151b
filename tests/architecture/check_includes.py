# SPDX-License-Identifier: Apache-2.0
"""Checks the house rules that a compiler does not: layers depend downwards only, public headers for applications are free
of torch, the library neither prints nor aborts nor reads the environment, and sources have no preprocessor conditionals.

    python3 tests/architecture/check_includes.py [ROOT]
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")

# What a folder of src/ may include, beside itself and include/precis.
ALLOWED = {
    "base": set(),
    "kernels": set(),
    "io": {"base"},
    "plot": {"base", "io"},
    "ops": {"base", "kernels"},
    "cache": {"base", "ops"},
    "memory": {"base", "io", "ops"},
    "tokenizers": {"base", "io"},
    "chat": {"base", "io", "tokenizers"},
    "models": {"base", "cache", "io", "ops"},
    "compressors": {"base", "io", "memory", "ops"},
    "prompt": {"base", "chat", "io", "memory", "tokenizers"},
    "engine": {"base", "cache", "chat", "compressors", "io", "memory", "models", "ops", "prompt", "tokenizers"},
    "train": {"base", "chat", "io", "memory", "ops", "plot", "prompt", "tokenizers"},
    "eval": {"base", "chat", "io", "plot", "tokenizers"},
    "cli": {"base", "chat", "compressors", "engine", "eval", "io", "memory", "tokenizers", "train"},
}
FORBIDDEN = re.compile(r"std::(cout|cerr|exit)|\b(?<!n)printf\(|\bgetenv\(|\babort\(\)")
CONDITIONAL = re.compile(r"^\s*#\s*if")


def source_problems(path):
    layer = path.relative_to(ROOT / "src").parts[0]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        included = re.match(r'#include "([a-z_]+)/', line)
        allowed = {layer, "precis"} | ALLOWED[layer] | ({"kernels"} if "executors" in path.parts else set())
        if included and included[1] not in allowed:
            yield f"{path}:{number}: {layer} must not include {included[1]}"
        if layer != "cli" and FORBIDDEN.search(line):
            yield f"{path}:{number}: the library does not print, abort or read the environment"
        if CONDITIONAL.match(line):
            yield f"{path}:{number}: preprocessor conditional"
        if layer == "kernels" and "ATen" in line:
            yield f"{path}:{number}: kernels know no torch"


def header_problems(path):
    text = path.read_text()
    if path.parent.name == "precis" and re.search(r"#include <(ATen|c10|torch)", text):
        yield f"{path}: a header for applications includes torch"


def main():
    problems = []
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix in {".h", ".cc", ".cu", ".cuh"}:
            problems += source_problems(path)
    for path in sorted((ROOT / "include" / "precis").rglob("*.h")):
        problems += header_problems(path)
    print("\n".join(problems) or "the layers hold")
    return 1 if problems else 0


sys.exit(main())
