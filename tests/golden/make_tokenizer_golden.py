# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/tokenizers: texts, small tokenizers, and the ids that the reference libraries give.

    .deps/venv/bin/python tests/golden/make_tokenizer_golden.py [directory of the models, default .deps/models]

Needs third_party/requirements-oracles.txt. The same versions make the same files; they are written to
versions.json. Ids of a model that is not in the directory are kept as they are.
"""

import importlib.metadata
import io
import json
import pathlib
import random
import sys
import tempfile
import unicodedata

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GOLDEN = pathlib.Path(__file__).parent / "tokenizers"
MODELS = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2] / ".deps/models")

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
SMALL_COUNT = 600  # texts that the small tokenizers encode; the big models encode all

# --- texts -------------------------------------------------------------------------------------------------------

WORDS = (
    "the of and to in a is that for it as was with be by on not he but at are this have from or had one you were "
    "all her she there would their we him been has when who will no more if out so up said what its about than into "
    "them can only other time new some could these two may first then do any like my now over such our man me even "
    "compression prompt memory token library context window river mountain seventeen extraordinarily American don't "
    "I'll we've it's they're CAN'T I'M She'd YOU'RE naïve façade coöperate Straße œuvre"
).split()
SCRIPTS = (
    "Привет мир", "γειά σου Κόσμε", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "こんにちは世界",
    "カタカナ", "你好，世界！", "안녕하세요", "ქართული ენა", "Հայերեն", "ភាសាខ្មែរ", "தமிழ்", "Việt Nam", "ⵜⴰⵎⴰⵣⵉⵖⵜ",
    "የኢትዮጵያ", "ᏣᎳᎩ", "𐍈𐌰𐌽", "𒀀𒁀", "Ⅷ Ⅻ ⅷ", "½ ¾ ²³", "٣٤٥٦", "१२३४", "一二三", "𝟘𝟙𝟚", "𝓗𝓮𝓵𝓵𝓸",
)
MARKS = (
    "e\u0301", "A\u030a", "n\u0303o", "\u1100\u1161\u11a8", "각", "\u0344", "\u0958", "ﬁ", "\u212b", "\u2126", "q\u0307\u0323",
    "q\u0323\u0307", "Z\u0351\u036b\u0343\u036a", "\U0001d15e",
)
EMOJI = ("👍", "👋🏽", "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "🏳️‍🌈", "❤️", "🚀", "☃", "🤖🤖", "1️⃣")
CODE = (
    "def f(x):\n    return x + 1\n", "if (a != b) { c++; }", "https://example.com/a?b=1&c=%20", "snake_case_name",
    "camelCaseName", "0x1F4A9", "3.14159", "1,000,000", "2024-02-29T23:59:60Z", "```python\n", "/* c */", "// x\r\n",
    '"quoted"', "a->b", "<div class='x'>", "$%^&*()", "...", "--", "=====", "\\n", "x\t=\ty", "[[0]]", "#!/bin/sh",
)
LOOKALIKES = (
    "<|im_end|>", "<|im_start|>user\n", "<|endoftext|>", "<s>", "</s>", "<unk>", "<bos>", "<start_of_turn>", "<0x41>",
    "<|begin_of_text|>", "<tool_call>", "▁", "▁▁word", "Ġthe", "<|im_", "end|>",
)
CONTRACTIONS = ("'s", "'S", "'ſ", "'t", "'re", "'RE", "'Re", "'ve", "'m", "'ll", "'lL", "'d", "'D", "’s", "'", "''s", "'x")
SPACES = [" "] * 10 + list("\n\n\n\t\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u200b\u2060\ufeff") + ["\r\n"]
BLOCKS = (
    (0x20, 0x7E), (0x20, 0x7E), (0, 0x1F), (0x7F, 0xA0), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x590, 0x6FF),
    (0x900, 0xDFF), (0xE00, 0xFFF), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x218F), (0x2190, 0x2BFF),
    (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFD), (0x10000, 0x1FFFF), (0x20000, 0x323AF),
    (0xE0000, 0xE01EF),
)


def is_assigned(code):
    return unicodedata.category(chr(code)) not in ("Cs", "Cn")


def random_piece(rng):
    kind = rng.random()
    if kind < 0.40:
        return rng.choice(WORDS) + rng.choice([" ", " ", ", ", ". ", "\n", ""])
    if kind < 0.55:
        return rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 3, 4, 8])
    if kind < 0.65:
        return str(rng.randrange(10 ** rng.randint(1, 8)))
    if kind < 0.85:
        return rng.choice(rng.choice([CODE, EMOJI, MARKS, SCRIPTS, LOOKALIKES, CONTRACTIONS]))
    low, high = rng.choice(BLOCKS)
    codes = (rng.randint(low, high) for _ in range(rng.randint(1, 4)))
    return "".join(chr(code) for code in codes if is_assigned(code))


def random_texts(count, seed):
    rng = random.Random(seed)
    return ["".join(random_piece(rng) for _ in range(rng.choice([1, 2, 3, 5, 8, 12]))) for _ in range(count)]


def chosen_texts():
    texts = ["", " ", "  ", "   ", "a", " a", "  a", "a ", "a  ", "a  b", "a \n b", "\n", "\n\n", " \n", "\n ", "\r\n\r\n", "\t\t x"]
    texts += [*SCRIPTS, *MARKS, *EMOJI, *CODE, *LOOKALIKES]
    texts += [f"it{c}" for c in CONTRACTIONS] + [f"{c}elf" for c in CONTRACTIONS] + [f" {c} " for c in CONTRACTIONS]
    texts += [" " * n + "x" for n in (1, 2, 3, 4, 7, 8, 15, 16, 30)] + ["x" + "\n" * n + "y" for n in (1, 2, 3, 5, 9)]
    texts += ["1" * n for n in (1, 2, 3, 4, 5, 9)] + [" 1 22 333 4444", "a1b22c333", "½1²", "1٣१"]
    texts += ["!\n", "!\r\n\n x", "? \n\n", "...\n\n\n", " !a", "\u00a0a", "\u00a0\u00a0a", "a\u3000\u3000b", "\u0085\n", "x \t\n\u2028\n y"]
    texts += ["z" * 31, "z" * 32, "z" * 33, "z" * 300, "ab" * 200, "e\u0301" * 40, "👍" * 20, "\u0301", "\u200d", "\ufe0f", "\ufeffBOM"]
    texts += ["\U00013460", "\U0002ebf0", "\U00010d40", "\U0001e5f1\ua7cb", "\ue000", "\U0010fffd", "\x00", "a\x00b", "\x7f", "\u1c89"]
    texts += ["The quick brown fox jumps over the lazy dog.", "Hello, world!", "HELLO WORLD", "Don't you DON'T", "we'Re 'LLama"]
    return texts


# --- reference tokenizers ----------------------------------------------------------------------------------------


def split_then_bytes(regex):
    split = pre_tokenizers.Split(Regex(regex), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2_pieces():
    return pre_tokenizers.ByteLevel(add_prefix_space=False)


def smollm_pieces():
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2_pieces()])


def gguf_field(path, key):
    return gguf.GGUFReader(path).fields[key].contents()


def gguf_bpe(path, pieces, normalizer=None):
    """A byte-level BPE out of a GGUF file. Not through transformers, whose conversion loses SmolLM2's digit rule."""
    tokens = gguf_field(path, "tokenizer.ggml.tokens")
    merges = [tuple(line.split(" ")) for line in gguf_field(path, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pieces
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    types = gguf_field(path, "tokenizer.ggml.token_type")
    added = [name for name, kind in zip(tokens, types) if kind == gguf.TokenType.USER_DEFINED]
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in added])
    return tokenizer


def gemma(path):
    """transformers' conversion, without the control tokens, which plain text does not have."""
    from transformers import AutoTokenizer

    converted = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).backend_tokenizer
    content = json.loads(converted.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if not token["special"]]
    return Tokenizer.from_str(json.dumps(content))


BIG_MODELS = {
    "smollm2-135m-instruct": lambda path: gguf_bpe(path, smollm_pieces()),
    "qwen2.5-coder-0.5b-instruct": lambda path: gguf_bpe(path, split_then_bytes(QWEN2), normalizers.NFC()),
    "gemma-3-270m": gemma,
}

# --- small tokenizers --------------------------------------------------------------------------------------------


def training_text(scripts=True):
    rng = random.Random(7)
    for _ in range(3000):
        yield " ".join(rng.choice(WORDS) for _ in range(12)) + rng.choice([".\n", "!\n\n", "? "])
    for text in (*CODE, *SCRIPTS, *EMOJI) if scripts else CODE:
        yield from [text] * 20


def train_byte_level(pieces, vocab_size=700, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pieces
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(training_text(), trainer)
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False)])
    return tokenizer


def train_llama3():
    tokenizer = train_byte_level(split_then_bytes(LLAMA3), ignore_merges=True)
    start = tokenizer.token_to_id("<|im_start|>")
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|im_start|> $A", pair=None, special_tokens=[("<|im_start|>", start)]
            ),
        ]
    )
    return tokenizer


def train_llama2(metaspace=False):
    """As Hugging Face converts SentencePiece's BPE models: characters, bytes for the unknown ones."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(training_text(scripts=False), trainer)
    content = json.loads(tokenizer.to_str())
    # The bytes were special only to get the first ids; the model as it is used has no words to cut.
    content["added_tokens"] = content["added_tokens"][:3]
    if not metaspace:
        content["pre_tokenizer"] = None
    return Tokenizer.from_str(json.dumps(content))


def falcon_pieces():
    """The last two steps see the words in the byte alphabet."""
    return pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), gpt2_pieces(), pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
    ])


SMALL = {
    "falcon": lambda: train_byte_level(falcon_pieces()),
    "gpt2": lambda: train_byte_level(gpt2_pieces()),
    "smollm": lambda: train_byte_level(smollm_pieces()),
    "llama3": train_llama3,
    "qwen2": lambda: train_byte_level(split_then_bytes(QWEN2), normalizer=normalizers.NFC()),
    "llama2": train_llama2,
    "metaspace": lambda: train_llama2(metaspace=True),
}


def without_special(tokenizer):
    """What plain text is encoded with: no special token is cut out of it, other added ones are."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if not token["special"]]
    return Tokenizer.from_str(json.dumps(content))


def train_sentencepiece(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_text()), model_writer=model, model_type="bpe", vocab_size=600,
        byte_fallback=True, character_coverage=0.99, split_digits=True, user_defined_symbols=["<sep>"],
        minloglevel=2, num_threads=1, **options,
    )
    return model.getvalue()


def write_gguf(path, fields):
    """A GGUF file without tensors."""
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in fields.items():
        getattr(writer, add)(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_bpe_gguf(path, tokenizer):
    content = json.loads(tokenizer.to_str())
    names = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    special = {token["content"]: 3 if token["special"] else 4 for token in content["added_tokens"]}
    write_gguf(path, {
        "add_tokenizer_model": "gpt2",
        "add_tokenizer_pre": "smollm",
        "add_token_list": names,
        "add_token_types": [special.get(name, 1) for name in names],
        "add_token_merges": [" ".join(pair) for pair in content["model"]["merges"]],
        "add_bos_token_id": 1,
        "add_eos_token_id": 2,
        "add_add_bos_token": False,
        "add_chat_template": "{{ messages }}",
    })


def write_spm_gguf(path, serialized):
    model = sentencepiece_model_pb2.ModelProto.FromString(serialized)
    write_gguf(path, {
        "add_tokenizer_model": "llama",
        "add_tokenizer_pre": "default",
        "add_token_list": [piece.piece for piece in model.pieces],
        "add_token_scores": [piece.score for piece in model.pieces],
        "add_token_types": [int(piece.type) for piece in model.pieces],
        "add_bos_token_id": 1,
        "add_eos_token_id": 2,
        "add_unk_token_id": 0,
    })


def write_sentencepiece(texts):
    """A model that rewrites its text, for the library; and one that does not, as a GGUF file."""
    (GOLDEN / "sentencepiece").mkdir(exist_ok=True)
    rewriting = train_sentencepiece(normalization_rule_name="nmt_nfkc")
    (GOLDEN / "sentencepiece" / "tokenizer.model").write_bytes(rewriting)
    plain = train_sentencepiece(normalization_rule_name="identity", remove_extra_whitespaces=False)
    write_spm_gguf(GOLDEN / "spm.gguf", plain)
    write_added_tokens(plain)
    for name, model in (("sentencepiece", rewriting), ("spm", plain)):
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        write_lines(GOLDEN / f"{name}.ids.jsonl", [processor.encode(text) for text in texts])


# --- files beside a tokenizer ------------------------------------------------------------------------------------

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "LlamaTokenizer"}
TURN_TEXTS = (
    "<|im_start|>user\nthe river<|im_end|>\n<|im_start|>assistant\n", "the<|im_end|>", "the <|im_end|> river",
    "<think>the river</think> mountain", "the <think> a </think>b", "<s>the</s>", "time<pad>", "the", "<|im_end|",
    "<|im_end|>  <think>",
)
# With "legacy" SentencePiece puts a space in front of every text. transformers 5 does so as well, unless one is there.
LEGACY_TEXTS = ("the<|im_end|>", "<s>the</s>", "the river<|im_end|>river<|im_end|>\n", "<|im_end|>", "the")


def decoder_entry(content, **flags):
    entry = {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return entry | {"special": False} | flags


ADDED_TOKENS = (
    {"tokenizer_config.json": SPECIAL, "added_tokens.json": {"<|im_end|>": 600, "<|im_start|>": 601}},
    {
        "tokenizer_config.json": SPECIAL | {"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]},
        "added_tokens.json": {"<|im_start|>": 600, "<|im_end|>": 601, "<think>": 602, "</think>": 603},
    },
    {
        "tokenizer_config.json": SPECIAL,
        "special_tokens_map.json": {"eos_token": {"content": "<|im_end|>"}, "pad_token": "<pad>"},
        "added_tokens.json": {"<pad>": 600, "<|im_end|>": 601},
    },
    {
        "tokenizer_config.json": SPECIAL | {
            "added_tokens_decoder": {
                "0": decoder_entry("<unk>", special=True),
                "1": decoder_entry("<s>", special=True),
                "2": decoder_entry("</s>", special=True),
                "600": decoder_entry("<|im_end|>", special=True, rstrip=True),
                "601": decoder_entry("<|im_start|>", special=True, lstrip=True),
                "602": decoder_entry("<think>"),
                "603": decoder_entry("</think>", lstrip=True, rstrip=True),
            },
        },
    },
    {
        "tokenizer_config.json": SPECIAL | {
            "legacy": True, "added_tokens_decoder": {"600": decoder_entry("<|im_end|>", special=True)},
        },
    },
    {
        "tokenizer_config.json": SPECIAL | {
            "add_prefix_space": False, "added_tokens_decoder": {"600": decoder_entry("<|im_end|>", special=True)},
        },
    },
)


def write_added_tokens(model):
    """Tokens beside a tokenizer.model: what transformers makes of the files in a directory."""
    from transformers import AutoTokenizer

    (GOLDEN / "spm").mkdir(exist_ok=True)
    (GOLDEN / "spm" / "tokenizer.model").write_bytes(model)
    rows = []
    for files in ADDED_TOKENS:
        with tempfile.TemporaryDirectory() as directory:
            (pathlib.Path(directory) / "tokenizer.model").write_bytes(model)
            for name, content in files.items():
                (pathlib.Path(directory) / name).write_text(json.dumps(content))
            tokenizer = AutoTokenizer.from_pretrained(directory)
            texts = LEGACY_TEXTS if "legacy" in files["tokenizer_config.json"] else TURN_TEXTS
            ids = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
            shown = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
            rows.append({"files": files, "texts": texts, "ids": ids, "shown": shown})
    write_lines(GOLDEN / "added_tokens.jsonl", rows)


def template(single):
    return processors.TemplateProcessing(
        single=single, pair=None, special_tokens=[("<|endoftext|>", 0), ("<|im_start|>", 1), ("<|im_end|>", 2)]
    )


POST_PROCESSORS = (
    template("$A"),
    template("<|im_start|> $A"),
    template("$A <|im_end|>"),
    template("<|im_start|> $A <|im_end|>"),
    template("<|endoftext|> <|im_start|> $A"),
    template("$A <|im_end|> <|endoftext|>"),
    template("$A $A"),
    processors.ByteLevel(trim_offsets=False),
    processors.RobertaProcessing(("<|im_end|>", 2), ("<|im_start|>", 1)),
    processors.BertProcessing(("<|endoftext|>", 0), ("<|im_start|>", 1)),
    processors.Sequence([processors.ByteLevel(), template("<|im_end|> $A")]),
    processors.Sequence([template("<|im_start|> $A"), template("<|endoftext|> $A")]),
)


def write_post_processors(tokenizer, text="the river"):
    rows = []
    for processor in POST_PROCESSORS:
        tokenizer.post_processor = processor
        content = json.loads(tokenizer.to_str())["post_processor"]
        rows.append({"post_processor": content, "text": text, "ids": tokenizer.encode(text).ids})
    write_lines(GOLDEN / "post_processors.jsonl", rows)


# --- normal forms ------------------------------------------------------------------------------------------------


def write_normal_forms(count=600):
    """Texts of marks, Hangul, and characters that decompose, with their normal form C by Python."""
    rng = random.Random(31)
    codes = [code for code in range(0xA0, 0x110000) if is_assigned(code)]
    marks = [code for code in codes if unicodedata.combining(chr(code))]
    composed = [code for code in codes if unicodedata.decomposition(chr(code))[:1] not in ("", "<")]
    excluded = [code for code in composed if unicodedata.normalize("NFC", chr(code)) != chr(code)]
    hangul = [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A7, 0x11C3), *range(0xAC00, 0xAC00 + 100)]
    pools = [marks] * 3 + [composed] * 2 + [excluded, hangul, range(0x41, 0x5B), codes]
    rows = []
    for _ in range(count):
        pool = [code for chosen in rng.choices(pools, k=2) for code in rng.choices(chosen, k=10)]
        text = "".join(chr(rng.choice(pool)) for _ in range(rng.choice([2, 3, 5, 12])))
        rows.append([text, unicodedata.normalize("NFC", text)])
    write_lines(GOLDEN / "nfc.jsonl", rows)


# --- cutting text into words -------------------------------------------------------------------------------------

UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PUNCTUATION_AND_SPACES = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+{ENDING}|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*{ENDING}"
    rf"|\p{{N}}{{1,3}}|{PUNCTUATION_AND_SPACES}"
)
CASED_LETTERS = r"A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u0370-\u0373\u0388-\u03ff\u0400-\u052f\u1e00-\u1f15\uff21-\uff3a"
# As the tokenizer.json files of these models spell them, but for fewer letters of deepseek-llm. Each is followed by ByteLevel without its own expression.
PUBLISHED = {
    "deepseek-llm": [
        "[\r\n]", rf"\s?[{CASED_LETTERS}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-\ud7ff]+",
        r"\p{N}",
    ],
    "deepseek-v3": [
        r"\p{N}{1,3}", r"[一-龥\u3040-ゟ゠-ヿ]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    ],
    "gpt-4o": [O200K],
    "gpt-4": [LLAMA3.replace("]?\\p{L}+", "]?+\\p{L}++").replace("{1,3}", "{1,3}+").replace("{N}]+[", "{N}]++[")],
    "kimi-k2": [r"[\p{Han}]+|" + O200K.replace(r"\p{M}]", r"\p{M}&&[^\p{Han}]]")],
    "bloom": [r" ?[^(\s|[.,!?…。，、।۔،])]+"],
    "starcoder2": [r"\d", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"],
}
BEHAVIORS = ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")
# What Oniguruma, which tokenizers uses, reads otherwise than other engines, and what they share.
EXPRESSIONS = (
    r"[aeiou\d]", r"\d+|,", r"(?=[A-Z])", r"", r"\s+$", r"^\S", r"\A\w|\w\z", r"a.", r"(?m)e.", r"(?i)THE|x", r"t(?i)h|O",
    r"(?i:k|[s])", r"\w+", r"\W", r"[\w]+", r"[^\w\s]+", r"\b", r"\B\w", r"\h+", r"\H", r"[\S&&\D]+", r"[a-z&&[^aeiou]]+",
    r"[^a-z&&[^aeiou]]", r"[\p{L}&&[\p{Han}a-m]&&\P{Lu}]+", r"[a[b-d][^\x00-\x7F]]+", r"[]a]+", r"[a-c-e]+", r"[a\]\-\[]",
    r"[[:alpha:]]+", r"[[:^alpha:]]", r"[[:punct:]]", r"[[:word:]]+", r"[[:upper:]\d]", r"\p{Letter}+", r"\p{^L}+", r"\P{Lu}+",
    r"\p{Han}+", r"\p{Lowercase_Letter}", r"\p{Alpha}+", r"\p{Punct}", r"\p{Emoji}", r"\p{N}{1,3}+", r"\d{2}?", r"\d{1,2}?",
    r"\d{,2}", r"o{,}", r"{", r"l*+", r"l+*", r"(?>\s+)\S", r"(?<=\d)\d", r"(?<![a-z])[a-z]", r"\d{3}(?=\d)", r"(the|of) ?",
    r"\x41|\x{e9}|\u00e8|\t|\n", r"é|漢|😀|\u0301",
)


def write_words(texts):
    """The words that pre-tokenizers of Hugging Face's tokenizers cut texts into, which are named by their places."""
    all_texts, some = range(250), [*range(20), *range(60, 110, 2), *range(570, 590)]
    rows = [(name, [pre_tokenizers.Split(Regex(regex), "isolated") for regex in regexes], all_texts)
            for name, regexes in PUBLISHED.items()]
    rows += [(regex, [pre_tokenizers.Split(Regex(regex), "isolated")], some) for regex in EXPRESSIONS]
    rows += [(f"{regex} {behavior} {invert}", [pre_tokenizers.Split(Regex(regex), behavior, invert)], some)
             for regex in EXPRESSIONS[:4] for behavior in BEHAVIORS for invert in (False, True)]
    rows += [(f"string {text}", [pre_tokenizers.Split(text, "merged_with_next")], some) for text in (".", "th", " ")]
    rows += [(f"punctuation {behavior}", [pre_tokenizers.Punctuation(behavior)], some) for behavior in BEHAVIORS]
    with (GOLDEN / "words.jsonl").open("w") as file:
        for name, steps, of in rows:
            if name in PUBLISHED:
                steps = [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
            tokenizer = Tokenizer(models.BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
            content = json.loads(tokenizer.to_str())["pre_tokenizer"]
            words = [[word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(texts[i])] for i in of]
            row = {"name": name, "pre_tokenizer": content, "texts": list(of), "words": words}
            file.write(json.dumps(row, separators=(",", ":")) + "\n")


REPLACEMENTS = ((r"\s+", " "), (r"\d", "0"), (r"(?=[A-Z])", "^"), (r"``|''", '"'), ("[^\x00-\x7f]", ""))


def write_replacements(texts):
    """What normalizers of type Replace make of texts."""
    rows = []
    for pattern, content in [*((Regex(regex), content) for regex, content in REPLACEMENTS), (".", ". "), ("th", "")]:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Replace(pattern, content)
        normal = [tokenizer.normalizer.normalize_str(text) for text in texts]
        rows.append({"normalizer": json.loads(tokenizer.to_str())["normalizer"], "texts": texts, "normal": normal})
    write_lines(GOLDEN / "replacements.jsonl", rows)


# --- output ------------------------------------------------------------------------------------------------------


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))


def encode(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def main():
    GOLDEN.mkdir(exist_ok=True)
    texts = list(dict.fromkeys(chosen_texts())) + random_texts(2000, seed=20)
    write_lines(GOLDEN / "texts.jsonl", texts)
    for name, make in SMALL.items():
        tokenizer = make()
        (GOLDEN / name).mkdir(exist_ok=True)
        tokenizer.save(str(GOLDEN / name / "tokenizer.json"), pretty=False)
        plain = without_special(tokenizer)
        write_lines(GOLDEN / f"{name}.ids.jsonl", [encode(plain, text) for text in texts[:SMALL_COUNT]])
        write_lines(GOLDEN / f"{name}.trusted.jsonl", [encode(tokenizer, text) for text in texts[:250]])
    write_bpe_gguf(GOLDEN / "smollm.gguf", SMALL["smollm"]())
    write_post_processors(SMALL["gpt2"]())
    write_normal_forms()
    write_words(texts[:SMALL_COUNT])
    write_replacements(texts[60:110] + texts[SMALL_COUNT - 30 : SMALL_COUNT])
    write_sentencepiece(texts[:SMALL_COUNT])
    for name, load in BIG_MODELS.items():
        path = MODELS / f"{name}.gguf"
        if path.exists():
            tokenizer = load(path)
            write_lines(GOLDEN / f"{name}.ids.jsonl", [encode(tokenizer, text) for text in texts])
    packages = ("tokenizers", "transformers", "sentencepiece", "gguf")
    versions = {package: importlib.metadata.version(package) for package in packages}
    (GOLDEN / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
