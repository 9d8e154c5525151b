# SPDX-License-Identifier: Apache-2.0
"""Vocabularies of a few hundred tokens for the tiny models: byte-level BPE and SentencePiece-like, in full."""

import json

# GPT-2's way to print a byte: itself where that is visible Latin-1, else the next code point from 256 on.
_VISIBLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
_HIDDEN = [byte for byte in range(256) if byte not in _VISIBLE]
BYTE_TOKENS = [chr(byte) if byte in _VISIBLE else chr(256 + _HIDDEN.index(byte)) for byte in range(256)]

SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # ids 0, 1, 2

# In the order in which they are applied; \u0120 stands for a space.
MERGES = """Ġ t,h e,i n,Ġ a,e r,o n,r e,Ġt he,Ġ s,Ġ w,a t,e n,o u,Ġ o,n d,i s,i t,o r,e s,Ġ c,Ġ b,Ġ f,in g,e d,a n,
Ġa nd,a l,Ġ p,a r,Ġo f,Ġ m,Ġt o,Ġ in,Ġ d,Ġ h,l e,i c,r o,Ġ l,l l,Ġw at,Ġwat er,s t,v er,i on,at er,ou r,Ġ is,
Ġ 1,Ġ Ġ,o m,e t,u t,i l,c h,s e,e l,a s""".replace("\n", "").split(",")

_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6  # llama.cpp's token types


def byte_level_vocabulary(size):
    """Tokens by id, merges, token types. Special tokens first, then the bytes, then what the merges make."""
    tokens = SPECIAL_TOKENS + BYTE_TOKENS
    merges = MERGES[: size - len(tokens)]
    tokens = tokens + [merge.replace(" ", "") for merge in merges]
    tokens += [f"<|unused_{i}|>" for i in range(size - len(tokens))]
    assert len(tokens) == len(set(tokens)) == size
    types = [_CONTROL if token.startswith("<|") else _NORMAL for token in tokens]
    return tokens, merges, types


def sentence_piece_vocabulary(size):
    """Tokens by id, scores, token types, in Gemma's layout: specials, bytes, then pieces from likely to unlikely."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    types = [_CONTROL] * 3 + [_UNKNOWN] + [_BYTE] * 256
    pieces = ["▁t", "he", "▁a", "in", "er", "on", "re", "▁the", "▁s", "at", "ing", "▁w", "ed", "an", "▁and", "▁wat",
              "▁water", "▁of", "▁o", "▁▁", "▁", *"etaoinsrhldcumfpgwybvkxjqzTAIS.,'-01239"]
    pieces = pieces[: size - len(tokens)]
    scores = [0.0] * len(tokens) + [-float(rank) for rank in range(len(pieces))]
    assert len(tokens) + len(pieces) == size
    return tokens + pieces, scores, types + [_NORMAL] * len(pieces)


def write_tokenizer_json(folder, size):
    """tokenizer.json with SmolLM's pre-tokenizer: digits stand alone, then GPT-2's byte-level split."""
    tokens, merges, types = byte_level_vocabulary(size)
    special = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for i, token in enumerate(tokens) if types[i] == _CONTROL]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    document = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}}
    (folder / "tokenizer.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
                "unk_token": "<|endoftext|>", "add_bos_token": False, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
