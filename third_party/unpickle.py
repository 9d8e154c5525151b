# SPDX-License-Identifier: Apache-2.0
"""Turns a pickled checkpoint into safetensors, since Precis itself never reads pickle.

    third_party/install.sh --oracles
    .deps/venv/bin/python third_party/unpickle.py SOURCE [OUT.safetensors]

SOURCE: a .pt, .pth or .bin file that torch.save wrote: a dictionary of tensors, or a module's state. It is read with
weights_only, so that nothing in it is run. Tensors keep their dtype and move to the CPU; numbers, which stand for frozen
weights in ICAE's first release, are left out. OUT: beside SOURCE by default.

Or a Hugging Face directory: pytorch_model.bin becomes model.safetensors beside it; shards become shards, one at a time, with
model.safetensors.index.json.
"""

import json
import pathlib
import sys

try:
    import numpy  # noqa: F401: save_file needs it
    import torch
    from safetensors.torch import save_file
except ImportError as error:
    sys.exit(
        f"unpickle: {error}; third_party/install.sh --oracles installs torch with numpy and safetensors into .deps/venv, and "
        ".deps/venv/bin/python third_party/unpickle.py is run with them (install.sh alone brings less)")


def tensors_of(value, prefix=""):
    """Every tensor in nested dictionaries, by its path in dots."""
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, torch.Tensor):
            yield name, inner.detach().cpu().contiguous()
        elif isinstance(inner, dict):
            yield from tensors_of(inner, name + ".")


def load(source):
    """The dictionary in a pickle."""
    try:
        value = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken or hostile file makes torch say
        sys.exit(f"unpickle: {source} cannot be read: {str(error).splitlines()[0]}")
    if not isinstance(value, dict):
        sys.exit(f"unpickle: {source} holds a {type(value).__name__}, expected a dictionary of tensors")
    return value


def convert(source, out):
    """Names and bytes of the tensors of one file, now written to another."""
    # Tensors that share memory are written one by one.
    tensors = {name: tensor.clone() for name, tensor in tensors_of(load(source))}
    if not tensors:
        sys.exit(f"unpickle: {source} holds no tensors")
    save_file(tensors, out, metadata={"format": "pt"})
    print(f"{out}: {len(tensors)} tensors")
    return {name: tensor.nbytes for name, tensor in tensors.items()}


def refuse_present(out):
    if out.exists():
        sys.exit(f"unpickle: {out} is there already")


def convert_directory(directory):
    pickles = sorted(directory.glob("pytorch_model*.bin"))
    if not pickles:
        sys.exit(f"unpickle: {directory} holds no pytorch_model*.bin")
    outs = [directory / (p.stem.replace("pytorch_model", "model", 1) + ".safetensors") for p in pickles]
    index = directory / "model.safetensors.index.json"
    for out in [*outs, index]:
        refuse_present(out)
    places, total = {}, 0
    for pickle, out in zip(pickles, outs):
        sizes = convert(pickle, out)
        places |= dict.fromkeys(sizes, out.name)
        total += sum(sizes.values())
    if [out.name for out in outs] != ["model.safetensors"]:
        index.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2) + "\n")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.strip())
    source = pathlib.Path(sys.argv[1])
    if source.is_dir():
        if len(sys.argv) == 3:
            sys.exit(f"unpickle: {source} is a directory, whose files are written into it")
        return convert_directory(source)
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) == 3 else source.with_suffix(".safetensors")
    refuse_present(out)
    convert(source, out)


main()
