# SPDX-License-Identifier: Apache-2.0
"""Compares the precis program with Hugging Face transformers on one model, in float32, on built-in texts.

    third_party/install.sh --oracles
    .deps/venv/bin/python tests/parity/compare_transformers.py --precis build/precis --model MODEL.gguf|DIRECTORY

Three things are compared: token ids (plain, and with special tokens), negative log-likelihoods of every token, and
logits and hidden states. A directory without a tokenizer is compared on random ids. Exit code 0: all within the
tolerances; 1: something is not; 2: precis failed.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

DOCUMENTS = pathlib.Path(__file__).resolve().parents[2] / "examples" / "documents"
MAX_SCORED = 1000  # ids; longer than Gemma's window of 512
MAX_LOGITS = 64  # ids; a row of Gemma's logits is a megabyte

TEXTS = {
    "prose": "The ferry left at six, and nobody on the pier waved. It was raining; it had rained since Tuesday.",
    "digits": "On 14 July 1998 we paid 1,234.50 for 12 boxes (3x4), 0.75 each: 100% more than in 1997-98.",
    "code": "def f(xs):\n    return {k: v**2 for k, v in xs if v != 0}  # squares\n\n\tprint(f([('a', 1)]))\r\n",
    "contractions": "They'll say it's fine, we've said I'd go; SHE'LL say IT'S not. 'tis o'clock, y'all'd've known.",
    "spaces": " one  two   three\t\ttabs \n \n  lines\n\n\n end  ",
    "accents": "Cafe\u0301 and caf\u00e9, na\u00efve \u00c5ngstr\u00f6m, Stra\u00dfe, \u0130stanbul, \ufb01ne.",
    "chinese": "\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u53bb\u516c\u56ed\u8d70\u8d70\u30022025\u5e743\u6708\u3002",
    "japanese": "\u6771\u4eac\u30bf\u30ef\u30fc\u306f\u9ad8\u3055333\u30e1\u30fc\u30c8\u30eb\u3067\u3059\u3002",
    "korean": "\uc548\ub155\ud558\uc138\uc694, \uc11c\uc6b8\uc785\ub2c8\ub2e4.",
    "arabic": "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u0661\u0662\u0663",
    "hindi": "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e \u0967\u0968",
    "russian": "\u0421\u044a\u0435\u0448\u044c \u0436\u0435 \u0435\u0449\u0451 \u044d\u0442\u0438\u0445 \u0431\u0443\u043b\u043e\u043a!",
    "emoji": "ok \U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1eb\U0001f1f7",
    "symbols": "x\u00b2 + \u00bd\u2264\u221e \u2192 \u20ac5 \u00a310 \u2026 \u201cquoted\u201d \u2014 #tag @name a_b C:\\dir /usr/bin",
    "look-alikes": "<|im_start|>user\nIgnore <|endoftext|> and </s> <bos><eos>[INST]<|im_end|>\n",
}
RANDOM_ALPHABETS = ["abcdefghijklmnopqrstuvwxyz", "ABCXYZ", "0123456789", "  \n\t\r", ".,;:!?'\"()[]{}<>|/\\-_=+*&^%$#@~`",
                    "\u00e9\u00fc\u00f1\u00e7\u00f8\u0301\u0308", "\u043f\u0440\u0438\u0432\u0435\u0442", "\u4e2d\u6587\u5b57\u3002",
                    "\u3042\u30ab", "\u0639\u0631\u0628", "\u0939\u093f\u0902", "\u00a0\u2003\u3000", "\U0001f600\U0001f680\u200d"]


class PrecisFailed(Exception):
    pass


class Precis:
    """The program under test, one process a question."""

    def __init__(self, binary, model, folder):
        self.binary, self.model, self.folder = binary, model, pathlib.Path(folder)

    def run(self, command, *arguments):
        line = [self.binary, command, "--model", self.model, *map(str, arguments)]
        try:
            done = subprocess.run(line, capture_output=True, text=True, check=False)
        except OSError as error:
            raise PrecisFailed(f"{command}: {error}") from error
        if done.returncode != 0:
            raise PrecisFailed(f"{command}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content.encode())  # bytes: no line ending may change
        return path

    def tokenize(self, text, special):
        file = self.write("text.txt", text)
        return json.loads(self.run("tokenize", "--file", file, *(["--special"] if special else [])))["ids"]

    def score(self, ids):
        answer = json.loads(self.run("score", "--ids", self.write("ids.json", json.dumps(ids)), "--dtype", "float32"))
        return torch.tensor(answer["nll"], dtype=torch.float64)

    def logits(self, ids):
        out = self.folder / "out.safetensors"
        self.run("logits", "--ids", self.write("ids.json", json.dumps(ids)), "--out", out, "--dtype", "float32")
        return load_file(out)


class Reference:
    """The same model in transformers."""

    def __init__(self, path):
        path = pathlib.Path(path)
        where = dict(pretrained_model_name_or_path=path)
        if path.is_file():
            where = dict(pretrained_model_name_or_path=path.parent, gguf_file=path.name)
        self.model = AutoModelForCausalLM.from_pretrained(
            **where, dtype=torch.float32, attn_implementation="eager").eval()
        self.tokenizer = None
        if path.is_file() or any((path / name).exists() for name in ("tokenizer.json", "tokenizer.model")):
            self.tokenizer = AutoTokenizer.from_pretrained(**where)
        self.is_gguf = path.is_file()
        if self.is_gguf:
            self.mend_gguf(path)

    def mend_gguf(self, path):
        """Restores what transformers 5.23 leaves behind when it converts a GGUF file."""
        import gguf

        from tokenizers import normalizers, pre_tokenizers

        reader = gguf.GGUFReader(path)
        pre = reader.get_field("tokenizer.ggml.pre")
        pre = pre.contents() if pre is not None else None
        backend = self.tokenizer.backend_tokenizer
        if pre == "smollm":  # every digit stands alone
            backend.pre_tokenizer = pre_tokenizers.Sequence([
                pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
        if pre == "qwen2":  # as Qwen2Tokenizer and Qwen's tokenizer.json have it; llama.cpp does not normalise
            backend.normalizer = normalizers.NFC()
        for tensor in reader.tensors:
            if tensor.name == "rope_freqs.weight":  # Llama 3's rope scaling
                self.model.model.rotary_emb.inv_freq /= torch.tensor(tensor.data)
        if self.model.config.model_type == "gemma3_text":  # the file has no query scale: it is the head size
            for layer in self.model.model.layers:
                layer.self_attn.scaling = layer.self_attn.head_dim**-0.5

    def tokenize(self, text, special):
        if special:
            return self.tokenizer(text).input_ids
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids

    @torch.no_grad()
    def hidden(self, ids):
        return self.model.model(torch.tensor([ids])).last_hidden_state[0]

    @torch.no_grad()
    def score(self, ids):
        hidden, targets = self.hidden(ids)[:-1], torch.tensor(ids[1:])
        pieces = [torch.nn.functional.cross_entropy(self.model.lm_head(rows).double(), wanted, reduction="none")
                  for rows, wanted in zip(hidden.split(64), targets.split(64))]
        return torch.cat(pieces)

    @torch.no_grad()
    def logits(self, ids):
        hidden = self.hidden(ids)
        return {"logits": self.model.lm_head(hidden), "hidden": hidden}


def built_in_texts(num_random):
    texts = dict(TEXTS)
    for document in sorted(DOCUMENTS.glob("*.txt")):
        texts[document.stem[:20]] = document.read_text(encoding="utf-8")
    dice = random.Random(1)
    for i in range(num_random):
        words = ["".join(dice.choices(dice.choice(RANDOM_ALPHABETS), k=dice.randint(1, 6)))
                 for _ in range(dice.randint(5, 30))]
        texts[f"random {i + 1}"] = "".join(words)
    return texts


def random_ids(vocab):
    dice = random.Random(2)
    return {f"random ids {count}": [dice.randrange(vocab) for _ in range(count)] for count in (2, 40, 300)}


def relative_difference(got, want):
    if got.shape != want.shape:
        raise PrecisFailed(f"logits: tensor of shape {tuple(got.shape)}, expected {tuple(want.shape)}")
    return ((got - want).abs().max() / want.abs().max()).item()


def first_difference(got, want):
    """'' when equal, else where the ids part."""
    if got == want:
        return ""
    at = next((i for i, pair in enumerate(zip(got, want)) if pair[0] != pair[1]), min(len(got), len(want)))
    return f"id {at}: {got[at:at + 3]} for {want[at:at + 3]}"


def compare_ids(precis, reference, texts):
    """Prints the texts whose ids differ; returns how many do."""
    failed = 0
    for name, text in texts.items():
        for special in (False, True):
            difference = first_difference(precis.tokenize(text, special), reference.tokenize(text, special))
            if difference:
                failed += 1
                print(f"ids differ: {name}{', --special' if special else ''}: {difference}")
    print(f"token ids: {len(texts)} texts, plain and --special, {failed} differ")
    return failed


def compare_numbers(precis, reference, sequences, score_tolerance, logits_tolerance):
    """Prints a row per sequence; returns how many are beyond a tolerance. No logits tolerance: shown, not judged."""
    print(f"\n{'text':22} {'ids':>5} {'mean nll':>9} {'reference':>9} {'worst':>9} {'logits':>9} {'hidden':>9}")
    failed = 0
    for name, ids in sequences.items():
        got, want = precis.score(ids), reference.score(ids)
        if got.shape != want.shape:
            raise PrecisFailed(f"score: {len(got)} values for {len(ids)} ids, expected {len(want)}")
        worst = (got - want).abs().max().item()
        rows, wanted = precis.logits(ids[:MAX_LOGITS]), reference.logits(ids[:MAX_LOGITS])
        logits = relative_difference(rows["logits"], wanted["logits"])
        hidden = relative_difference(rows["hidden"], wanted["hidden"])
        # "not <=" so that a NaN fails
        bad = not worst <= score_tolerance or (
            logits_tolerance is not None and not max(logits, hidden) <= logits_tolerance)
        failed += bad
        print(f"{name:22} {len(ids):5} {got.mean():9.4f} {want.mean():9.4f} {worst:9.2g} {logits:9.2g} {hidden:9.2g}"
              f"{'  BEYOND TOLERANCE' if bad else ''}", flush=True)
    return failed


def sequences_to_score(reference, texts):
    config = reference.model.config
    limit = min(MAX_SCORED, config.max_position_embeddings)
    if reference.tokenizer is None:
        return {name: ids[:limit] for name, ids in random_ids(config.vocab_size).items()}
    sequences = {name: reference.tokenize(text, special=True)[:limit] for name, text in texts.items()}
    return {name: ids for name, ids in sequences.items() if len(ids) > 1}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precis", required=True, help="the precis program")
    parser.add_argument("--model", required=True, help="a GGUF file or a Hugging Face directory")
    parser.add_argument("--random", type=int, default=20, help="random texts whose ids are compared (default 20)")
    parser.add_argument("--score-tolerance", type=float, default=0.005, help="nats, for every token")
    parser.add_argument("--logits-tolerance", type=float, default=1e-4, help="relative; judged for directories only")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    reference = Reference(options.model)
    logits_tolerance = None if reference.is_gguf else options.logits_tolerance
    texts = built_in_texts(options.random)
    scored = {name: text for name, text in texts.items() if not name.startswith("random")}
    failed = 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            precis = Precis(options.precis, options.model, folder)
            if reference.tokenizer is not None:
                failed += compare_ids(precis, reference, texts)
            failed += compare_numbers(precis, reference, sequences_to_score(reference, scored),
                                      options.score_tolerance, logits_tolerance)
    except PrecisFailed as failure:
        print(f"precis failed: {failure}", file=sys.stderr)
        return 2
    print("\nall within tolerance" if failed == 0 else f"\n{failed} comparisons failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
