#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Chinese texts and questions for `precis eval`, made of Debian's Chinese documentation.

Downloads packages with `apt-get download`, keeps the Chinese sentences of their HTML pages, and writes to --out

  texts.jsonl      {"text", "source"}: neighbouring sentences of a package, at least --characters characters
  questions.jsonl  {"context", "prompt", "answer", "source"}: cloze questions. A sentence of the context is repeated
                   with one string left out, which is the answer: a number, a term in Latin script, or a quoted term
                   that occurs once in the context and in at most --most-contexts contexts, since names that stand
                   everywhere ("Debian") can be guessed. At most --per-context questions about one context.

Nothing is translated or paraphrased, and no model is asked. The rules are the same for every package; the seed picks
the sentences and strings. Of a Chinese text Qwen 2.5 reads about 1.5 characters a token.
"""
import argparse
import html.parser
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

PACKAGES = ["debian-reference-zh-cn", "maint-guide-zh-cn", "debian-faq-zh-cn", "debian-edu-doc-zh-cn", "gimp-help-zh-cn"]
PAGES = "zh.cn|zh_CN"  # in the path of a page: some packages have pages in other languages
IDEOGRAPH = "[\u3400-\u4dbf\u4e00-\u9fff]"
SENTENCE = re.compile("[^。！？]+[。！？][”’」』）]*")
CANDIDATES = [
    re.compile(r"(?<![A-Za-z0-9_./+:@~-])[A-Za-z][A-Za-z0-9_.+/-]*[A-Za-z0-9](?![A-Za-z0-9_/+:@~-])"),
    re.compile(r"(?<![A-Za-z0-9_./+:@~第-])[0-9]+(?:[.,:][0-9]+)*[0-9](?![A-Za-z0-9_./+:@~节章-])"),
    re.compile("(?<!节 “)(?<!节“)(?<=[“「《])[^“”「」《》。，]{2,12}(?=[”」》])"),
]
PROMPT = "下面是上文中的一句话，其中一处被替换成了“____”。空白处原来是什么？\n{}"
FEWEST_IDEOGRAPHS = 8  # of a sentence, beside what is left out


class Paragraphs(html.parser.HTMLParser):
    """The texts of all <p> of a page, without listings."""

    def __init__(self):
        super().__init__()
        self.paragraphs, self.depth, self.hidden = [], 0, 0

    def handle_starttag(self, tag, attrs):
        if tag == "p":
            self.depth = 1
            self.paragraphs.append("")
        self.hidden += tag in ("pre", "script", "style")

    def handle_endtag(self, tag):
        if tag == "p":
            self.depth = 0
        self.hidden -= tag in ("pre", "script", "style") and self.hidden > 0

    def handle_data(self, data):
        if self.depth and not self.hidden:
            self.paragraphs[-1] += data


def tidy(text):
    """One space where there is any; none between Chinese characters, where lines ended. Without marks of footnotes."""
    text = re.sub(r"\s+", " ", re.sub(r"\[\d+\]", "", text)).strip()
    return re.sub(f"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])", "", text)


def is_chinese(sentence):
    letters = len(re.findall(IDEOGRAPH, sentence))
    return letters >= FEWEST_IDEOGRAPHS and letters >= len(sentence) / 2


def sentences_of(page):
    parser = Paragraphs()
    parser.feed(page.read_text(encoding="utf-8", errors="replace"))
    for paragraph in parser.paragraphs:
        yield from filter(is_chinese, SENTENCE.findall(tidy(paragraph)))


def download(package, directory):
    subprocess.run(["apt-get", "download", package], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    (archive,) = pathlib.Path(directory).glob(f"{package}_*.deb")
    root = pathlib.Path(directory) / package
    subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
    return root


def sentences_in(root):
    """Of all pages, each sentence once: pages repeat notes and headers."""
    seen = {}
    for page in sorted(root.rglob("*.html")):
        if re.search(PAGES, str(page.relative_to(root))) and not page.is_symlink():
            for sentence in sentences_of(page):
                seen.setdefault(sentence.strip())
    return list(seen)


def joined(sentences, characters):
    """Texts of neighbouring sentences; what is left at the end is too short and left out."""
    texts, text = [], []
    for sentence in sentences:
        text.append(sentence)
        if sum(map(len, text)) >= characters:
            texts.append(text)
            text = []
    return texts


def clozes(sentences, is_rare, rng):
    """(prompt, answer) of every sentence that has a string to leave out."""
    context = "".join(sentences)
    for sentence in sentences:
        found = [match for rule in CANDIDATES for match in rule.finditer(sentence)
                 if context.lower().count(match.group().lower()) == 1 and is_rare(match.group())]
        rng.shuffle(found)
        for match in found[:1]:
            rest = sentence[:match.start()] + "____" + sentence[match.end():]
            if len(re.findall(IDEOGRAPH, rest)) >= FEWEST_IDEOGRAPHS:
                yield PROMPT.format(rest), match.group()


def questions_about(texts, options, rng):
    """Of each context a few, drawn among its clozes."""
    contexts = ["".join(sentences).lower() for _, sentences in texts]

    def is_rare(string):
        return sum(string.lower() in context for context in contexts) <= options.most_contexts

    questions = []
    for source, sentences in texts:
        found = list(clozes(sentences, is_rare, rng))
        for prompt, answer in rng.sample(found, min(len(found), options.per_context)):
            questions.append({"context": "".join(sentences), "prompt": prompt, "answer": answer, "source": source})
    return questions


def write(path, rows):
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{path}: {len(rows)} rows", file=sys.stderr)


def shuffled(rows, rng, most):
    """Whole contexts in a drawn order, so that the first rows are of all packages."""
    groups = {}
    for row in rows:
        groups.setdefault(row.get("context", row.get("text")), []).append(row)
    order = list(groups.values())
    rng.shuffle(order)
    return [row for group in order for row in group][:most]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--packages", nargs="+", default=PACKAGES)
    parser.add_argument("--characters", type=int, default=1200, help="of a text, at least")
    parser.add_argument("--context-characters", type=int, default=300, help="of the context of a question, at least")
    parser.add_argument("--per-context", type=int, default=2, help="most questions about one context")
    parser.add_argument("--most-contexts", type=int, default=5, help="in which an answer may occur")
    parser.add_argument("--limit", type=int, default=400, help="most texts, and most questions")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    texts, contexts = [], []
    with tempfile.TemporaryDirectory() as directory:
        for package in options.packages:
            sentences = sentences_in(download(package, directory))
            texts += [{"text": "".join(text), "source": package} for text in joined(sentences, options.characters)]
            contexts += [(package, text) for text in joined(sentences, options.context_characters)]
            print(f"{package}: {len(sentences)} sentences", file=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "texts.jsonl", shuffled(texts, rng, options.limit))
    write(options.out / "questions.jsonl", shuffled(questions_about(contexts, options, rng), rng, options.limit))


if __name__ == "__main__":
    main()
