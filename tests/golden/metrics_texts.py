# SPDX-License-Identifier: Apache-2.0
"""The texts that make_metrics_golden.py scores: (hypothesis, references); BLEU and ROUGE take the first reference."""

STORY = (
    "The lighthouse keeper counted 1,234.5 litres of oil on the 3rd of May, and wrote it down twice. Nobody had asked "
    "him to; the company's ledger (kept in Brest, not here) was the only one that mattered. Still, he liked the numbers. "
    "At 10:30 p.m. the wind turned north-west, and the lamp - old, French, well-made - began to sing. "
)
RETOLD = (
    "The keeper of the lighthouse counted 1,234.5 liters of oil on May 3rd, and he wrote it down two times. Nobody "
    "asked him to; the ledger of the company (kept in Brest) was the only one which mattered. He liked the numbers still. "
    "At 10:30 p.m. the wind turned to the north-west and the old, French, well-made lamp began to sing. "
)

PLAIN = [
    ("The cat sat on the mat.", ["The cat sat on the mat."]),
    ("the cat sat on the mat", ["The cat sat on the mat."]),
    ("The cat is sitting on a mat.", ["The cat sat on the mat."]),
    ("On the mat sat the cat.", ["The cat sat on the mat."]),
    ("A dog barked outside all night.", ["The cat sat on the mat."]),
    ("the the the the the the the", ["The cat sat on the mat."]),
    ("no no no no no yes no no", ["no no yes yes no no no no"]),
    ("The quick brown dog jumps on the log.", ["The quick brown fox jumps over the lazy dog"]),
    ("one two three four", ["one two three four five six seven eight"]),
    ("one two three four five six seven eight", ["one two three four"]),
    ("a b c d e f g", ["a b x d e y g"]),
    ("MIXED Case Is Not The Same case", ["mixed case is not the same case"]),
]

SHORT = [
    ("", ["There was a reference."]),
    ("There was a hypothesis.", [""]),
    ("", [""]),
    (" \t \n ", ["one"]),
    ("Paris", ["Paris"]),
    ("paris.", ["Paris"]),
    ("London", ["Paris"]),
    ("The", ["an"]),
    ("the", ["the answer"]),
    ("two words", ["two words"]),
    ("three whole words", ["three whole words"]),
    ("42", ["42."]),
]

PUNCTUATION = [
    ("Wait... what?! \"No,\" he said -- 'never'.", ["Wait. What? 'No', he said: \"never\"."]),
    ("It costs $1,234.50, i.e. 5% more (see p. 3).", ["It costs $ 1,234.50 (5 % more); see page 3."]),
    ("Between 1914-1918 and 1939-45 there were 21 years.", ["Between 1914 - 1918 and 1939 - 45, there were 21 years."]),
    (".5 and 5. and 1,000,000 and 3.14159,26", ["0.5 and 5 and 1000000 and 3.14159,26"]),
    ("state-of-the-art co-operation, well-known e-mail", ["state of the art cooperation, well known email"]),
    ("a.,b ..,,.. x.,.y 1.,2 ,.", ["a. ,b . . x . , . y 1 . , 2"]),
    ("#tag @user a_b c^d e`f g~h {i} [j] \\k |l", ["# tag @ user a _ b c ^ d e ` f g ~ h { i } [ j ] \\ k | l"]),
    ("x=1;y=2*(z+3)/4<5>6&7", ["x = 1 ; y = 2 * ( z + 3 ) / 4 < 5 > 6 & 7"]),
    ("don't can't won't it's o'clock 'tis", ["do n't ca n't won't its o clock tis"]),
    ("&quot;Tom &amp; Jerry&quot; &lt;3 &gt; 2 &amp;lt; 1 &amp;quot;", ['"Tom & Jerry" <3 > 2 < 1 "']),
    ("A <skipped>word and an un-\nfinished line\nbreak-\n", ["A word and an unfinished line break"]),
    ("U.S.A. vs. U.K., Inc. (No. 7)", ["USA vs UK Inc No 7"]),
    ("http://example.com/a-b?c=d&e=f.html", ["http://example.com/a-b"]),
    ("7-eleven 9-to-5 x-9 -9 9- --9", ["7 - eleven 9 - to - 5"]),
]

ANSWERS = [
    ("The Eiffel Tower", ["Eiffel Tower", "the tower"]),
    ("It was an Eiffel-Tower!", ["Eiffel Tower", "EiffelTower"]),
    ("In 1889, in Paris", ["1889", "the year 1889"]),
    ("I think that the answer is Denver Broncos, as they won.", ["The Denver Broncos", "Denver"]),
    ("denver won; broncos lost", ["Denver Broncos"]),
    ("a an the", ["the"]),
    ("theatre and anthem", ["atre", "them", "theatre anthem"]),
    ("the cat, a dog and an ape", ["cat dog ape", "cat dog and ape"]),
    ("1,234", ["1234"]),
    ("cat cat dog", ["cat dog dog", "dog"]),
    ("A-an_the", ["aanthe", "a an the"]),
    ("Vitamin B\u2013the good one\u2014a must", ["vitamin b\u2013 good one\u2014 must"]),
]

UNICODE = [
    ("Das Mädchen aß süße Äpfel in Köln.", ["das mädchen aß Süße Äpfel in köln"]),
    ("L\u2019été, c\u2019est déjà fini\u00a0!", ["L'été, c'est déjà fini !"]),
    ("«Привет, мир!» \u2014 сказал он.", ["привет мир, сказал он"]),
    ("ΑΘΗΝΑ και Θεσσαλονίκη", ["αθηνα και θεσσαλονίκη"]),
    ("東京は日本の首都です。", ["東京は日本の首都です。"]),
    ("東京\u3000は 日本 の 首都 です。", ["東京 は 日本 の 首都 です"]),
    ("مرحبا، بالعالم", ["مرحبا بالعالم"]),
    ("नमस्ते दुनिया", ["नमस्ते दुनिया!"]),
    ("e\u0301te\u0301 a\u0301 the\u0301 an", ["\u00e9t\u00e9 \u00e1 th\u00e9"]),
    ("273 \u212a, \u0130stanbul, \u01c5", ["273 K, i\u0307stanbul, \u01c6"]),
    ("\U0001f600 great \U0001f44d\U0001f3fd work the\U0001f600", ["great work \U0001f600"]),
    ("x\u00b2 + \u00bd = \u2167 \u0664\u0665", ["x\u00b2 + \u00bd = \u2177 45"]),
    ("a\u200bb the\u200banswer \ufeffa", ["ab the answer"]),
    ("one\x1ctwo\x1dthree\x1efour\x1ffive\x85six\u2028seven\x0beight", ["one two three four five six seven eight"]),
    ("price:\u20ac1.234,50\uff0c100\uff05 a\u3001the\u3002", ["price: \u20ac1.234,50 100%"]),
]

LONG = [
    (STORY, [STORY]),
    (RETOLD, [STORY]),
    (STORY + RETOLD, [RETOLD + STORY]),
    (" ".join([STORY, RETOLD] * 6), [" ".join([RETOLD, RETOLD, STORY] * 4)]),
]

PAIRS = PLAIN + SHORT + PUNCTUATION + ANSWERS + UNICODE + LONG

# (start, step): the pairs that are scored as one corpus.
CORPORA = [(0, 1), (0, 2), (1, 3), (12, 40), (64, 1)]
