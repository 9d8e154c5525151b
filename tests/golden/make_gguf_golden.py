# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/gguf: a small GGUF file by another hand, and what its tensors hold.

`quants.gguf` has one tensor of 3 x 512 elements for each type that Precis reads, named after the type, and metadata of
every kind. `quants.safetensors` has the same tensors as gguf.quants.dequantize sees them, in float32.

    third_party/install.sh --oracles
    .deps/venv/bin/python tests/golden/make_gguf_golden.py
"""

import importlib.metadata
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).resolve().parent / "gguf"
ROWS, WIDTH = 3, 512
QUANTIZED_HERE = [Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]
# gguf-py reads these but does not make them. Any bytes are a valid block; only the half-precision scales, which lie at
# these offsets, are chosen.
SCALE_OFFSETS = {Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}
SCALES = np.array([0.0, 6e-8, -3e-5, 1e-3, -0.02, 0.7, 65504.0], np.float16)  # two of them subnormal

random = np.random.default_rng(7)


def quantized(kind):
    values = random.standard_normal((ROWS, WIDTH)).astype(np.float32)
    values[0] *= 1e-4  # scales of this row are subnormal halves
    values[2, :32] = 0
    return gguf.quants.quantize(values, kind)


def random_blocks(kind):
    elements, size = GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (ROWS * WIDTH // elements, size), np.uint8)
    for offset in SCALE_OFFSETS[kind]:
        blocks[:, offset : offset + 2] = random.choice(SCALES, len(blocks)).reshape(-1, 1).view(np.uint8)
    return blocks.reshape(ROWS, -1)


def add_metadata(writer):
    writer.add_uint8("small.unsigned", 200)
    writer.add_int8("small.signed", -100)
    writer.add_uint16("medium.unsigned", 60000)
    writer.add_int16("medium.signed", -30000)
    writer.add_uint32("unsigned", 4000000000)
    writer.add_int32("signed", -2000000000)
    writer.add_uint64("large.unsigned", 1 << 40)
    writer.add_int64("large.signed", -(1 << 40))
    writer.add_float32("number", 0.5)
    writer.add_float64("large.number", 1e100)
    writer.add_bool("yes", True)
    writer.add_string("text", "h\u00e9llo")
    writer.add_array("texts", ["a", "", "ccc"])
    writer.add_array("integers", [3, -1, 4])
    writer.add_array("numbers", [0.25, -8.0])
    writer.add_array("booleans", [True, False])


def main():
    FOLDER.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(FOLDER / "quants.gguf", "test")
    add_metadata(writer)
    expected = {}
    for kind in [*QUANTIZED_HERE, *SCALE_OFFSETS]:
        data = quantized(kind) if kind in QUANTIZED_HERE else random_blocks(kind)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        expected[kind.name] = gguf.quants.dequantize(data, kind).reshape(ROWS, WIDTH)
        assert np.isfinite(expected[kind.name]).all()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    versions = {name: importlib.metadata.version(name) for name in ["gguf", "numpy", "safetensors"]}
    save_file(expected, FOLDER / "quants.safetensors", metadata=versions)


if __name__ == "__main__":
    main()
