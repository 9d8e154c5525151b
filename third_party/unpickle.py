# SPDX-License-Identifier: Apache-2.0
"""Turns a pickled checkpoint into safetensors, since Precis itself never reads pickle.

    third_party/install.sh --oracles
    .deps/venv/bin/python third_party/unpickle.py SOURCE [OUT.safetensors]

SOURCE: a .pt, .pth or .bin file that torch.save wrote: a dictionary of tensors, or a module's state. It is read with
weights_only, so that nothing in it is run. Tensors keep their dtype and move to the CPU; numbers, which stand for frozen
weights in ICAE's first release, are left out. OUT: beside SOURCE by default.
"""

import pathlib
import sys

import torch
from safetensors.torch import save_file


def tensors_of(value, prefix=""):
    """Every tensor in nested dictionaries, by its path in dots."""
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, torch.Tensor):
            yield name, inner.detach().cpu().contiguous()
        elif isinstance(inner, dict):
            yield from tensors_of(inner, name + ".")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.strip())
    source = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else source.with_suffix(".safetensors")
    if out.exists():
        sys.exit(f"unpickle: {out} is there already")
    try:
        value = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken or hostile file makes torch say
        sys.exit(f"unpickle: {source} cannot be read: {str(error).splitlines()[0]}")
    if not isinstance(value, dict):
        sys.exit(f"unpickle: {source} holds a {type(value).__name__}, expected a dictionary of tensors")
    # Tensors that share memory are written one by one.
    tensors = {name: tensor.clone() for name, tensor in tensors_of(value)}
    if not tensors:
        sys.exit(f"unpickle: {source} holds no tensors")
    save_file(tensors, out)
    print(f"{out}: {len(tensors)} tensors")


main()
