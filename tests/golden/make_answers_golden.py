#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares answers in Chinese, and in Chinese mixed with Latin script, with references; writes answers.json.

Texts without spaces are cut as by mixed_segmentation() of CMRC 2018's evaluation (Cui et al. 2019): each Chinese character is a word,
and so is each run of other characters. Punctuation is left out, also in full width. F1 is SQuAD's over these words, as in LongBench's
qa_f1_zh_score (CMRC's own counts the longest common run instead). Texts without Chinese characters, kana or full-width forms are cut
as in make_metrics_golden.py. Needs nothing but Python; made with 3.11 (Unicode 14).
"""

import collections
import json
import pathlib
import re
import string
import sys
import unicodedata

OUT = pathlib.Path(__file__).parent / "answers.json"
WORD = "\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
CJK = re.compile(f"[{WORD}\u3000-\u303f\uff00-\uffef]")

PAIRS = [
    ("北京。", ["北京"]),
    ("答案是北京。", ["北京", "中国北京"]),
    ("在上海", ["北京"]),
    ("京北", ["北京"]),
    ("　北　京！", ["北京"]),
    ("“北京”（首都）", ["北京，首都"]),
    ("《红楼梦》", ["红楼梦"]),
    ("一九四九年十月一日", ["1949年10月1日"]),
    ("1949年10月1日。", ["1949年10月1日"]),
    ("成立于1949年。", ["1949"]),
    ("成立于19495年。", ["1949"]),
    ("共有100％的用户", ["100%"]),
    ("价格：￥1,234.50", ["1234.50"]),
    ("请运行apt-get update命令。", ["apt-get update", "apt-get"]),
    ("请运行 APT-GET 命令", ["apt-get"]),
    ("使用Linux内核", ["linux"]),
    ("Linux", ["Linux 内核"]),
    ("Linux 内核", ["linux内核"]),
    ("the Linux 内核", ["Linux内核"]),
    ("/etc/apt/sources.list文件", ["/etc/apt/sources.list"]),
    ("人人为我，我为人人", ["人人为我"]),
    ("人人人", ["人"]),
    ("々〇", ["々〇"]),
    ("東京は日本の首都です。", ["東京は日本の首都です"]),
    ("東京　は 日本 の 首都 です。", ["東京 は 日本 の 首都 です"]),
    ("カタカナ・ひらがな", ["カタカナ ひらがな"]),
    ("price:€1.234,50，100％ a、the。", ["price: €1.234,50 100%"]),
    ("。", ["，"]),
    ("。", ["北京"]),
    ("", ["北京"]),
    ("北京", ["", "the"]),
    ("It is in Beijing (北京).", ["Beijing", "北京"]),
    ("42。", ["42"]),
    ("𠀀𠀁", ["𠀁"]),
    ("한국의 수도는 서울。", ["서울"]),
    ("the red house", ["red house"]),
    ("“Linux”", ["Linux"]),
]


def squad_words(text):
    kept = "".join(c for c in text if c not in string.punctuation)
    return re.sub(r"(?<![^\W_])(a|an|the)(?![^\W_])", " ", kept).split()


def mixed_words(text):
    """CMRC's loop: characters are collected until a Chinese one ends the run."""
    segments, run = [], ""
    for character in text:
        if unicodedata.category(character)[0] in "PS":
            continue
        if re.match(f"[{WORD}]", character):
            segments += run.split() + [character]
            run = ""
        else:
            run += character
    return [word for word in segments + run.split() if word not in ("a", "an", "the")]


def words(text):
    text = text.lower()
    return mixed_words(text) if CJK.search(text) else squad_words(text)


def f1(answer, reference):
    answer, reference = words(answer), words(reference)
    shared = sum((collections.Counter(answer) & collections.Counter(reference)).values())
    return 2 * shared / (len(answer) + len(reference)) if shared else 0.0


def contains(answer, reference):
    answer, reference = words(answer), words(reference)
    starts = range(len(answer) - len(reference) + 1)
    return bool(reference) and any(answer[i : i + len(reference)] == reference for i in starts)


def main():
    pairs = [
        {
            "answer": answer,
            "references": references,
            "words": words(answer),
            "f1": max(f1(answer, reference) for reference in references),
            "exact_match": any(words(answer) == words(reference) for reference in references),
            "contains": any(contains(answer, reference) for reference in references),
        }
        for answer, references in PAIRS
    ]
    golden = {"made_with": {"python": sys.version.split()[0], "unicode": unicodedata.unidata_version}, "pairs": pairs}
    OUT.write_text(json.dumps(golden, indent=1, ensure_ascii=True) + "\n")
    print(f"{OUT}: {len(pairs)} pairs")


if __name__ == "__main__":
    main()
