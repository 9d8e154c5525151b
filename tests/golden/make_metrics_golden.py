#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Scores pairs of texts with sacrebleu, rouge_score and a restatement of SQuAD 1.1's measures.

The restatement is held against torchmetrics' SQuAD. Where nothing is left of both texts once articles are gone, that one counts
them as the same for F1, as SQuAD 2.0 does; 1.1 finds no word in common.

Writes metrics.json. Needs sacrebleu 2.6.0, rouge_score 0.1.2 and torchmetrics 1.9.0; made with Python 3.11, whose tables of characters are
those of Unicode 14. Whether an answer stands in a text is no measure of SQuAD: it is restated here on SQuAD's words.
"""

import collections
import json
import pathlib
import string
import sys
import unicodedata

import sacrebleu
from rouge_score import rouge_scorer
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from torchmetrics.functional.text import squad

import metrics_texts

OUT = pathlib.Path(__file__).parent / "metrics.json"
ROUGE = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
SPLIT_13A = Tokenizer13a()


def is_word_character(character):
    return character.isalnum() or character == "_"


def squad_words(text):
    """Small letters; no ASCII punctuation; no article that stands alone; split at space."""
    kept = [c for c in text.lower() if c not in string.punctuation]
    runs = []
    for character in kept:
        if runs and is_word_character(runs[-1][-1]) and is_word_character(character):
            runs[-1] += character
        else:
            runs.append(character)
    return "".join(" " if run in ("a", "an", "the") else run for run in runs).split()


def squad_f1(answer, reference):
    answer, reference = squad_words(answer), squad_words(reference)
    shared = sum((collections.Counter(answer) & collections.Counter(reference)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(answer), shared / len(reference)
    return 2 * precision * recall / (precision + recall)


def contains(answer, reference):
    answer, reference = squad_words(answer), squad_words(reference)
    starts = range(len(answer) - len(reference) + 1)
    return bool(reference) and any(answer[i : i + len(reference)] == reference for i in starts)


def check_squad(hypothesis, references, f1, exact):
    answers = {"answer_start": [0] * len(references), "text": list(references)}
    theirs = squad([{"prediction_text": hypothesis, "id": "0"}], [{"answers": answers, "id": "0"}])
    assert float(theirs["exact_match"]) == 100 * exact, (hypothesis, references)
    nothing_left = not squad_words(hypothesis) and any(not squad_words(reference) for reference in references)
    assert nothing_left or abs(float(theirs["f1"]) / 100 - f1) < 1e-6, (hypothesis, references)


def score_pair(hypothesis, references):
    first = references[0]
    f1 = max(squad_f1(hypothesis, reference) for reference in references)
    exact = any(squad_words(hypothesis) == squad_words(reference) for reference in references)
    check_squad(hypothesis, references, f1, exact)
    rouge = ROUGE.score(first, hypothesis)
    return {
        "hypothesis": hypothesis,
        "references": references,
        "bleu_words": SPLIT_13A(hypothesis.rstrip()).split(),
        "bleu": sacrebleu.corpus_bleu([hypothesis], [[first]]).score,
        "rouge1": rouge["rouge1"].fmeasure,
        "rouge2": rouge["rouge2"].fmeasure,
        "rouge_l": rouge["rougeL"].fmeasure,
        "squad_words": squad_words(hypothesis),
        "squad_f1": f1,
        "squad_exact_match": exact,
        "contains_answer": any(contains(hypothesis, reference) for reference in references),
    }


def score_corpus(pairs):
    hypotheses = [hypothesis for hypothesis, _ in pairs]
    references = [references[0] for _, references in pairs]
    score = sacrebleu.corpus_bleu(hypotheses, [references]).score
    return {"hypotheses": hypotheses, "references": references, "bleu": score}


def main():
    pairs = metrics_texts.PAIRS
    golden = {
        "made_with": {
            "sacrebleu": sacrebleu.__version__,
            "rouge_score": "0.1.2",
            "python": sys.version.split()[0],
            "unicode": unicodedata.unidata_version,
        },
        "pairs": [score_pair(*pair) for pair in pairs],
        "corpora": [score_corpus(pairs[start::step]) for start, step in metrics_texts.CORPORA],
    }
    OUT.write_text(json.dumps(golden, indent=1, ensure_ascii=True) + "\n")
    print(f"{OUT}: {len(golden['pairs'])} pairs, {len(golden['corpora'])} corpora")


if __name__ == "__main__":
    main()
