#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""English prose out of Debian's documentation packages, as rows for `precis train`: {"source": ..., "text": ...}.

    texts_from_debian.py > texts.jsonl         # the packages below: 21,206 texts, 78 MB, in four minutes (Debian 12)
    texts_from_debian.py git-doc zsh-doc > texts.jsonl

Packages are downloaded and read, not installed. Kept are paragraphs that read as sentences, each once; code, tables and menus
are not. Neighbouring paragraphs of a file make a text. Each package's licence is in its usr/share/doc/PACKAGE/copyright.
"""
import argparse
import gzip
import hashlib
import html.parser
import io
import json
import pathlib
import random
import re
import subprocess
import sys
import tarfile
import tempfile

PACKAGES = """anarchism apache2-doc csound-doc debian-policy debian-reference-en erlang-doc exim4-doc-html git-doc
gimp-help-en libreoffice-help-en-us lilypond-doc-html linux-doc-6.1 octave-doc postfix-doc python-django-doc python3.11-doc
racket-doc r-doc-html sqlite3-doc swi-prolog-doc twisted-doc zsh-doc""".split()
BLOCKS = {"p", "li", "dd", "dt", "div", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "br", "tr", "blockquote", "section"}
SKIPPED = {"pre", "script", "style", "nav", "head", "table", "footer", "select", "svg", "math"}
SENTENCE = re.compile(r"[A-Z\"'(].*[.!?:][)\"']?$", re.DOTALL)
WORD = re.compile(r"[A-Za-z][a-z']*$")
MIN_WORDS = 8     # of a paragraph
PROSE_SHARE = 0.8  # of its words that are words


class Paragraphs(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.found, self.current, self.skipping = [], [], 0

    def finish(self):
        self.found.append("".join(self.current))
        self.current = []

    def handle_starttag(self, tag, attrs):
        if tag in SKIPPED:
            self.skipping += 1
        if tag in BLOCKS or tag in SKIPPED:
            self.finish()

    def handle_endtag(self, tag):
        if tag in SKIPPED:
            self.skipping = max(0, self.skipping - 1)
        if tag in BLOCKS or tag in SKIPPED:
            self.finish()

    def handle_data(self, data):
        if not self.skipping:
            self.current.append(data)


def paragraphs_of(name, data):
    text = data.decode("utf-8", errors="replace")
    if not re.search(r"\.x?html?$", name):
        return re.split(r"\n\s*\n", text)
    parser = Paragraphs()
    parser.feed(text)
    parser.finish()
    return parser.found


def is_prose(paragraph):
    words = [word.strip(".,;:!?()\"'") for word in paragraph.split()]
    if len(words) < MIN_WORDS or not SENTENCE.match(paragraph) or "\ufffd" in paragraph:
        return False
    return sum(bool(WORD.match(word)) for word in words) >= PROSE_SHARE * len(words)


def texts_of(name, data, seen, longest):
    """Neighbouring paragraphs, joined while they are shorter than `longest` characters."""
    text = ""
    for paragraph in paragraphs_of(name, data):
        paragraph = " ".join(paragraph.split())
        if not is_prose(paragraph):
            continue
        digest = hashlib.blake2b(paragraph.encode(), digest_size=8).digest()
        if digest in seen:  # packages hold the same page more than once
            continue
        seen.add(digest)
        if text and len(text) + len(paragraph) > longest:
            yield text
            text = ""
        text += ("\n\n" if text else "") + paragraph
    if text:
        yield text


def files_of(package, directory):
    """Names and bytes of the documents in a package."""
    subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package], cwd=directory, check=True)
    archive = next(pathlib.Path(directory).glob(f"{package}_*.deb"))
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], check=True, capture_output=True).stdout
    archive.unlink()
    with tarfile.open(fileobj=io.BytesIO(data)) as files:
        for member in sorted(files.getmembers(), key=lambda file: file.name):
            name = member.name.removesuffix(".gz")
            if not member.isfile() or not re.search(r"\.(x?html?|txt|rst)$", name) or "changelog" in name.lower():
                continue
            content = files.extractfile(member).read()
            yield name, gzip.decompress(content) if member.name.endswith(".gz") else content


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    parser.add_argument("--shortest", type=int, default=400, help="characters of a text")
    parser.add_argument("--longest", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    options = parser.parse_args()
    rows, seen = [], set()
    for package in options.packages:
        before = len(rows)
        with tempfile.TemporaryDirectory() as directory:
            try:
                for name, data in files_of(package, directory):
                    rows += [{"source": f"debian:{package}", "text": text}
                             for text in texts_of(name, data, seen, options.longest) if len(text) >= options.shortest]
            except subprocess.CalledProcessError:
                print(f"{package}: cannot be downloaded; left out", file=sys.stderr)
        print(f"{package}: {len(rows) - before} texts", file=sys.stderr)
    if not rows:
        parser.error("no texts were found")
    random.Random(options.seed).shuffle(rows)
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
