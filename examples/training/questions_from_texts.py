#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns plain texts into questions whose answers stand in them, as rows for `precis train --objectives instruct=...`.

    questions_from_texts.py TEXTS.jsonl[.zst] --rows 4000 > questions.jsonl

Each row holds a passage, a question about one of its sentences, and the words that answer it: who did it, what it is, where
and when, which words are missing, how the sentence ends; or the passage is to be said again, whole or in part. Patterns make
them, no model: some read awkwardly, but all are answered by the passage, word for word, which is what a memory has to learn to
keep. Other rows (of question data sets, or of `precis distil-answers`) can stand in the same file.
"""
import argparse
import json
import random
import re
import subprocess
import sys

NAME = r"[A-Z][a-z'-]+(?: (?:(?:of|de|van|von|the|of the) )?[A-Z][a-z'-]+){0,3}"
VERBS = ("is was are were has had became wrote built made won lived died founded published played served worked began moved "
         "received led directed designed developed discovered held joined left married owned produced released ran taught "
         "opened bought sold gave found created invented painted killed defeated ruled").split()
SUBJECT = re.compile(rf"^({NAME}) ({'|'.join(VERBS)}) (.+)[.]$")
NOT_NAMES = {"The", "A", "An", "In", "It", "He", "She", "They", "This", "That", "These", "There", "If", "When", "At", "On", "For",
             "As", "We", "You", "I", "His", "Her", "Its", "Their", "By", "To", "After", "All", "One", "From", "With", "Such"}
IDENTITY = re.compile(r"^(.{3,60}?) (is|was|are|were) ((?:an?|the|one of) [^,;:]{3,70}?)(?:[,;:]| that | which | who |[.]$)")
PLACE = re.compile(r"^(.{3,60}?) (is|was|are|were) (located|situated|found|built|held|born|buried|based|kept|placed) "
                   r"((?:in|on|at|near|under|behind) [^,;:]{3,60}?)(?:[,;:]|[.]$)")
YEAR = re.compile(r"\b(?:in|In|since|Since|until|Until) (1[0-9]{3}|20[0-2][0-9])\b")
NUMBER = re.compile(r"(?<![\w.])(\d[\d,.]*\d|\d|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|hundred)(?![\w.])")
INNER_NAME = re.compile(rf"(?<=[a-z,] )({NAME})")
WORD = re.compile(r"(?<=[a-z,] )([a-z]{5,})(?=[ ,.;])")
PROSE = re.compile(r"[A-Za-z0-9 ,;:'’%$£.-]+[.]")
AGAIN = 0.4  # of all rows
COMMON = {"about", "after", "again", "being", "could", "every", "first", "other", "shall", "should", "since", "their", "there",
          "these", "thing", "those", "under", "until", "where", "which", "while", "whose", "would", "through", "between"}


def lower_start(text):
    first = text.split(" ", 1)[0]
    return text[0].lower() + text[1:] if first in NOT_NAMES else text


def blank(sentence, span, kind, rng):
    gap = sentence[:span[0]] + "____" + sentence[span[1]:]
    words = sentence[span[0]:span[1]]
    ways = {"name": ["Which name is missing", "Fill in the name"], "number": ["Which number is missing", "Fill in the number"],
            "word": ["Which word is missing", "Fill in the blank"]}[kind]
    return f'{rng.choice(ways)}: "{gap}"', words


def asked(sentence):
    """Questions about the sentence, as people ask them, with their answers."""
    ways = []
    if found := SUBJECT.match(sentence):
        name, verb, rest = found.groups()
        if name.split()[0] not in NOT_NAMES and len(rest.split()) >= 2:
            ways.append((f"Who or what {verb} {rest}?", name))
    if found := IDENTITY.match(sentence):
        subject, verb, what = found.groups()
        if subject.split()[0] not in {"It", "This", "That", "There", "He", "She", "They", "If", "What"}:
            ways.append((f"What {verb} {lower_start(subject)}?", what))
    if found := PLACE.match(sentence):
        subject, verb, done, where = found.groups()
        ways.append((f"Where {verb} {lower_start(subject)} {done}?", where))
    if found := YEAR.search(sentence):
        rest = " ".join((sentence[:found.start()] + sentence[found.end():]).split())
        ways.append((f'In which year was this: "{rest}"', found[1]))
    return [way for way in ways if len(way[1].split()) <= 14]


def gaps(sentence, rng):
    """Something of the sentence is left out, and is the answer."""
    ways = []
    for kind, pattern in (("name", INNER_NAME), ("number", NUMBER), ("word", WORD)):
        spans = [m.span(1) for m in pattern.finditer(sentence) if m[1] not in COMMON and m[1].split()[0] not in NOT_NAMES]
        if spans:
            ways.append(blank(sentence, rng.choice(spans), kind, rng))
    words = sentence.split()
    if len(words) >= 10:
        cut = rng.randint(len(words) // 2, len(words) - 3)
        ways.append((f'How does this sentence go on: "{" ".join(words[:cut])} ..."', " ".join(words[cut:])))
    return ways


def said_again(passage, rng):
    """The whole passage, or what follows some words of it: the densest lesson in keeping words."""
    words = " ".join(passage).split()
    if len(words) < 12 or rng.random() < 0.5:
        return rng.choice(["Repeat the text.", "Say the text again, word for word.", "Write down the text exactly."]), " ".join(passage)
    start = rng.randrange(len(words) - 8)
    return (f'What follows the words "{" ".join(words[start:start + 4])}" in the text?',
            " ".join(words[start + 4:start + 4 + rng.randint(4, 24)]))


def row_of(text, least, most, rng):
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(text.split()))
    first = rng.randrange(len(sentences))
    passage, size, wanted = [], 0, rng.randint(least, most)
    for sentence in sentences[first:]:
        if size + len(sentence.split()) > wanted:
            break
        passage.append(sentence)
        size += len(sentence.split())
    usable = [s for s in passage if 6 <= len(s.split()) <= 35 and PROSE.fullmatch(s)]
    if size < least or len(usable) < len(passage) / 2:
        return None
    if rng.random() < AGAIN:
        prompt, answer = said_again(passage, rng)
        return {"context": " ".join(passage), "prompt": prompt, "answer": answer}
    ways = [way for sentence in usable for way in asked(sentence)]
    if not ways or rng.random() < 0.3:
        ways = gaps(rng.choice(usable), rng)
    if not ways:
        return None
    prompt, answer = rng.choice(ways)
    return {"context": " ".join(passage), "prompt": prompt, "answer": answer}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", help='JSON Lines with strings "text", plain or zstd')
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--min-words", type=int, default=40, help="of a passage")
    parser.add_argument("--max-words", type=int, default=160)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    if options.texts.endswith(".zst"):
        unpacked = subprocess.run(["zstd", "-dc", options.texts], capture_output=True, check=True).stdout.decode()
    else:
        unpacked = open(options.texts, encoding="utf-8").read()
    rows = [json.loads(line) for line in unpacked.splitlines() if line.strip()]
    texts = [row["text"] for row in rows if row.get("text")]
    if not texts or options.rows < 1 or not 1 <= options.min_words <= options.max_words:
        parser.error("it takes at least one row to make, one text, and --min-words up to --max-words")
    made = 0
    for _ in range(50 * options.rows):
        row = row_of(rng.choice(texts), options.min_words, options.max_words, rng)
        if row is not None:
            print(json.dumps(row, ensure_ascii=False))
            made += 1
        if made == options.rows:
            return
    sys.exit(f"questions_from_texts.py: these texts gave {made} questions only")


if __name__ == "__main__":
    main()
