"""Toys as GGUF files. The weights are noise and say noise.

    python -m tools.families.toy_files --out FOLDER [NAME ...]

Owns: the keys and the noise. Must not: train, or know chat templates.
"""

import argparse
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tools.families.toy_tensors import Shape, T, tensors_of, weight
from tools.families.toys import TOYS, Key, Toy
from tools.families.vocabularies import write_vocabulary

CONTEXT = 512


def write_toy(toy: Toy, path: Path, seed: int = 0, kind: str = "F32") -> Path:
    """Write a toy as GGUF; the same toy and seed are always the same file. Return the path."""
    return write_file(toy, tensors_of(toy), path, seed, kind=kind)


def write_file(
    toy: Toy,
    tensors: Mapping[str, Shape],
    path: Path,
    seed: int = 0,
    more: Callable[[Any], None] = lambda _writer: None,
    *,
    kind: str = "F32",
) -> Path:
    """Write a toy that has these tensors; `more` adds keys. Return the path.

    Matrices are stored as `kind` (`Q4_0`, `Q8_0`), where it is not `F32`.
    """
    writer = gguf.GGUFWriter(str(path), toy.architecture)
    writer.add_name(f"toy-{toy.name}")
    _write_keys(writer, toy)
    write_vocabulary(writer, toy.pre, space_first="no-space" not in toy.parts)
    more(writer)
    chance = np.random.default_rng(zlib.crc32(toy.name.encode()) + seed)
    for name, shape in tensors.items():
        values, stored = _values(toy, name, shape, chance), gguf.GGMLQuantizationType[kind]
        if len(shape) > 1 and "gate_inp" not in name and kind != "F32":
            writer.add_tensor(name, gguf.quants.quantize(values, stored), raw_dtype=stored)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_keys(writer: Any, toy: Toy) -> None:
    kind = "layer_norm" if "layer-norms" in toy.parts else "layer_norm_rms"
    own: dict[str, Key] = {
        "context_length": CONTEXT,
        "embedding_length": toy.width,
        "block_count": toy.layers,
        "feed_forward_length": toy.hidden,
        "attention.head_count": toy.heads,
        "attention.head_count_kv": toy.kv_heads,
        "attention.key_length": toy.head,
        "attention.value_length": toy.head,
        "rope.dimension_count": toy.head,
        "rope.freq_base": 10_000.0,
        f"attention.{kind}_epsilon": 1e-6,
    }
    if toy.experts:
        own["expert_count"] = toy.experts
    for name, value in (own | dict(toy.keys)).items():
        key = f"{toy.architecture}.{name}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_array(key, value)


def _values(toy: Toy, name: str, shape: Shape, chance: np.random.Generator) -> Any:
    """Return noise that keeps its size from layer to layer.

    It is not rounded to f16, which would round activations too: experts that are as good as equal
    would change places with the size of the batch.
    """
    noise = chance.standard_normal(shape)
    tied = "tied" in toy.parts
    if name.endswith(".ssm_a"):  # states fade
        return -(1 + np.abs(noise)).astype(np.float32)
    if len(shape) == 1:
        middle = 5.0 if tied and name == weight(T.OUTPUT_NORM) else 1.0
        middle = 0.0 if name.endswith(".bias") else middle
        return (middle + 0.1 * noise).astype(np.float32)
    spread = 1.5 / np.sqrt(shape[-1])
    if name == weight(T.TOKEN_EMBD):
        # Where the last matrix is the first one, every large word would call for itself.
        spread = 0.1 if tied else 1.0
    elif "attn_output" in name or "ffn_down" in name:
        spread *= np.sqrt(2 / toy.layers)  # many layers would make much of any rounding
    return (spread * noise).astype(np.float32)


def main() -> None:
    """Write the toys that are named, or all."""
    parser = argparse.ArgumentParser(description="Write tiny random models, one a family.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *(t.name for t in TOYS)])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for toy in TOYS:
        if toy.name in asked.names or not asked.names:
            print(write_toy(toy, asked.out / f"{toy.name}.gguf"))


if __name__ == "__main__":
    main()
