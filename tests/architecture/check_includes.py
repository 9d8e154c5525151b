# SPDX-License-Identifier: Apache-2.0
"""Checks the rules of the source tree that a compiler does not:

- a layer includes only itself, the layers below it and include/precis, and reaches kernels through no header of another layer;
- headers for applications (include/precis/*.h) include no torch, neither do headers that they include;
- the library neither prints, aborts nor reads the environment, and sources have no preprocessor conditionals;
- a source file is named after the header that it implements, and no file has more than 400 lines.

    python3 tests/architecture/check_includes.py [ROOT]

Prints what is wrong, where, and what helps. Exceptions stand in the tables below; one that is no longer needed is an error.
"""

import collections
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
    "store": {"base", "io", "memory"},
    "models": {"base", "cache", "io", "ops"},
    "models/executors": {"base", "cache", "io", "kernels", "models", "ops"},
    "compressors": {"base", "io", "memory", "ops"},
    "prompt": {"base", "chat", "io", "memory", "tokenizers"},
    "refine": {"base", "memory", "ops", "prompt"},
    "engine": {"base", "cache", "chat", "compressors", "io", "memory", "models", "ops", "prompt", "refine", "store", "tokenizers"},
    "train": {"base", "chat", "io", "memory", "ops", "plot", "prompt", "tokenizers"},
    "eval": {"base", "chat", "io", "plot", "prompt", "tokenizers"},
    "cli": {"base", "chat", "compressors", "engine", "eval", "io", "memory", "store", "tokenizers", "train"},
}
# Headers that show kernels to layers that may not include them.
SHOWS_KERNELS = set()

# Sources that are named after no header: what they implement. Commands of cli/ need no row, neither do sources of kernels/,
# whose header is one table, nor those named after a header and a suffix (memory_file.cc, stream_cuda.cc).
IMPLEMENTS = {
    "src/chat/jinja/filters.cc": "src/chat/jinja/callables.h",
    "src/chat/jinja/functions.cc": "src/chat/jinja/callables.h",
    "src/chat/jinja/methods.cc": "src/chat/jinja/callables.h",
    "src/chat/jinja/sequence_filters.cc": "src/chat/jinja/callables.h",
    "src/chat/jinja/tests.cc": "src/chat/jinja/callables.h",
    "src/cli/main.cc": "the program",
    "src/engine/apply_template.cc": "include/precis/engine.h",
    "src/eval/answers.cc": "src/eval/metrics.h",
    "src/eval/bleu.cc": "src/eval/metrics.h",
    "src/eval/exact_prefix.cc": "src/eval/metrics.h",
    "src/eval/rouge.cc": "src/eval/metrics.h",
    "src/memory/rebase.cc": "include/precis/extend/memory_tensors.h",
    "src/models/known_shapes.cc": "include/precis/extend/shapes.h",
    "src/tokenizers/gguf_bpe_tokenizer.cc": "src/tokenizers/gguf_tokenizer.h",
    "src/tokenizers/gguf_spm_tokenizer.cc": "src/tokenizers/gguf_tokenizer.h",
    "src/tokenizers/nfc.cc": "src/tokenizers/unicode.h",
}

LONGEST = 400
# Longer files with their ceilings: split one before it grows, and lower its ceiling when it shrinks.
LONGER = {
    "src/chat/jinja/evaluator.cc": 427,
    "src/chat/jinja/expression_parser.cc": 412,
    "src/chat/jinja/operators.cc": 406,
    "src/chat/jinja/strings.cc": 429,
}

INCLUDE = re.compile(r'#include ["<]([^">]+)[">]')
TORCH = re.compile(r"(ATen|c10|torch)/")
FORBIDDEN = re.compile(r"std::(cout|cerr|exit)|\b(?<!n)printf\(|\bgetenv\(|\babort\(\)")
CONDITIONAL = re.compile(r"^\s*#\s*if")
SUFFIXES = {".h", ".cc", ".cu", ".cuh"}


def name(path):
    return path.relative_to(ROOT).as_posix()


def layer_of(path):
    folders = path.relative_to(ROOT / "src").parts[:-1]
    nested = "/".join(folders[:2])
    return nested if nested in ALLOWED else folders[0]


class Includes:
    """Which file of the tree includes which, with the line."""

    def __init__(self, files):
        self.of = {path: list(self.lines(path)) for path in files}

    @staticmethod
    def lines(path):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match[1]

    def headers(self, path):
        for _, included in self.of.get(path, ()):
            for folder in ("src", "include"):
                if (ROOT / folder / included) in self.of:
                    yield ROOT / folder / included

    def chains(self, path):
        """Every file that `path` reaches, with the shortest chain of includes, itself first."""
        found, queue = {path: [path]}, collections.deque([path])
        while queue:
            current = queue.popleft()
            for header in self.headers(current):
                if header not in found:
                    found[header] = found[current] + [header]
                    queue.append(header)
        return found


def include_problems(path, includes):
    layer = layer_of(path)
    allowed = {layer, "precis"} | ALLOWED[layer]
    for number, included in includes.of[path]:
        header = ROOT / "src" / included
        target = layer_of(header) if header in includes.of else included.split("/")[0]
        if header in includes.of and target not in allowed and target.split("/")[0] not in allowed:
            yield (f"{name(path)}:{number}: {layer} must not include {target}; move what it needs into a layer below both, or "
                   f"pass it in as an argument")
        if layer == "kernels" and TORCH.match(included):
            yield f"{name(path)}:{number}: kernels know no torch; pass raw pointers and sizes"


def line_problems(path):
    layer = layer_of(path)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if layer != "cli" and FORBIDDEN.search(line):
            yield (f"{name(path)}:{number}: the library does not print, abort or read the environment; throw precis::Error, "
                   f"log through precis/log.h, or let cli do it")
        if CONDITIONAL.match(line):
            yield f"{name(path)}:{number}: preprocessor conditional; let CMake choose between two source files"


def kernel_problems(paths, includes):
    """Headers through which layers that may not include kernels reach them, each with one chain."""
    shown = {}
    for path in paths:
        if "kernels" in ALLOWED[layer_of(path)] | {layer_of(path)}:
            continue
        for target, chain in includes.chains(path).items():
            if name(target).startswith("src/kernels/") and len(chain) > 2:
                through = name(chain[-2])
                if through.startswith("src/kernels/"):
                    continue  # the first header of kernels on the chain is reported
                shown.setdefault(through, []).append(chain)
    for through, chains in sorted(shown.items()):
        if through not in SHOWS_KERNELS:
            chain = min(chains, key=len)
            yield (f"{through}: shows {name(chain[-1])} to layers that may not include kernels (" +
                   " > ".join(name(step) for step in chain) + "); include it in the .cc, declare its types in the header")
    for header in sorted(SHOWS_KERNELS - shown.keys()):
        yield f"{header}: shows kernels to no other layer; remove it from SHOWS_KERNELS"


def torch_problems(path, includes):
    for header, chain in includes.chains(path).items():
        for _, included in includes.of[header]:
            if TORCH.match(included):
                way = " > ".join([*(name(step) for step in chain), included])
                yield (f"{name(path)}: a header for applications includes torch ({way}); hide tensors behind a pointer to an "
                       f"incomplete type, or move the header to include/precis/extend")
                return


def has_header(path):
    words = path.stem.split("_")
    stems = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    folders = [path.parent, ROOT / "include" / "precis", ROOT / "include" / "precis" / "extend"]
    return any((folder / f"{stem}.h").exists() for stem in stems for folder in folders)


def name_problems(paths):
    sources = [path for path in paths if path.suffix == ".cc" and layer_of(path) != "kernels"]
    sources = [path for path in sources if not re.fullmatch(r"src/cli/\w+_commands?\.cc", name(path))]
    unnamed = {name(path) for path in sources if not has_header(path)}
    for source in sorted(unnamed - IMPLEMENTS.keys()):
        yield (f"{source}: no header of this name beside it or in include/precis; name it after the header that it implements "
               f"(header.cc, header_suffix.cc) or give it a row in IMPLEMENTS")
    for source in sorted(IMPLEMENTS.keys() - unnamed):
        yield f"{source}: named after a header, or gone; remove its row in IMPLEMENTS"
    for source, header in sorted(IMPLEMENTS.items()):
        if header.endswith(".h") and not (ROOT / header).exists():
            yield f"{source}: {header} is gone; correct its row in IMPLEMENTS"


def size_problems(paths):
    sizes = {name(path): len(path.read_text().splitlines()) for path in paths}
    for file, lines in sorted(sizes.items()):
        ceiling = LONGER.get(file, LONGEST)
        if lines > ceiling:
            yield f"{file}: {lines} lines, at most {ceiling}; split it by topic"
    for file in sorted(LONGER):
        if sizes.get(file, 0) <= LONGEST:
            yield f"{file}: {sizes.get(file, 'no such file,')} lines; remove its ceiling from LONGER"


def main():
    paths = sorted(path for path in (ROOT / "src").rglob("*") if path.suffix in SUFFIXES)
    public = sorted((ROOT / "include" / "precis").rglob("*.h"))
    includes = Includes(paths + public)
    problems = [*kernel_problems(paths, includes), *name_problems(paths), *size_problems(paths)]
    for path in paths:
        problems += [*include_problems(path, includes), *line_problems(path)]
    for path in public:
        if path.parent.name == "precis":
            problems += torch_problems(path, includes)
    print("\n".join(dict.fromkeys(problems)) or "the layers hold")
    return 1 if problems else 0


sys.exit(main())
