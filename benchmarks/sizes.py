"""Writes models of real sizes with random weights, to measure what they take of memory.

    .venv/bin/python -m benchmarks.sizes --out FOLDER 0.5b-q4_0 ...

A few million random values are written over and over: how much memory they take does not depend on
what they are. The vocabulary is Qwen's (see `benchmarks.shapes`).

Owns: the files. Must not: start anything.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from benchmarks.shapes import WHOLE, write_vocabulary

_TILE = 1 << 22
_SEED = 1


@dataclass(frozen=True, slots=True)
class Size:
    """One model; with `experts`, of which `used` answer each token, `hidden` is each expert's."""

    name: str
    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    head: int
    tied: bool = True
    experts: int = 0
    used: int = 0

    @property
    def architecture(self) -> str:
        """What llama.cpp runs it as."""
        return "qwen3moe" if self.experts else "qwen2"


SIZES = (
    Size("0.5b", 24, 896, 4_864, 14, 2, 64),
    Size("1.5b", 28, 1_536, 8_960, 12, 2, 128),
    Size("7b", 28, 3_584, 18_944, 28, 4, 128, tied=False),
    Size("moe", 16, 1_024, 512, 16, 4, 64, experts=32, used=4),
)


def named(name: str) -> tuple[Size, str]:
    """Return a size and how its matrices are stored, from `7b-q4_0`."""
    size, _, kind = name.partition("-")
    return next(one for one in SIZES if one.name == size), kind


def write(name: str, path: Path) -> Path:
    """Write a model, unless it is there; return its path."""
    if path.exists():
        return path
    size, kind = named(name)
    half = path.with_suffix(".part")
    writer = gguf.GGUFWriter(str(half), size.architecture)
    _write_header(writer, size, name)
    tiles = _Tiles(gguf.GGMLQuantizationType[kind.upper()])
    tensors = list(_tensors(size))
    for tensor, rows in tensors:
        tiles.announce(writer, tensor, rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.fout[0].write(bytes(-writer.fout[0].tell() % writer.data_alignment))
    for tensor, rows in tensors:
        tiles.append(writer, tensor, rows)
    writer.close()
    return half.replace(path)


class _Tiles:
    """Random values in blocks of a kind, repeated for as long as a tensor is."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._made: dict[Any, Any] = {}

    def announce(self, writer: Any, name: str, rows: tuple[int, ...]) -> None:
        """Write where a tensor will be, and how large."""
        kind = self._kind_of(name, rows)
        values, size = gguf.GGML_QUANT_SIZES[kind]
        shape = [*rows[:-1], rows[-1] // values * size] if values > 1 else list(rows)
        total = math.prod(rows) // values * size
        dtype = np.dtype(np.uint8 if values > 1 else np.float32)
        writer.add_tensor_info(name, shape, dtype, total, raw_dtype=kind if values > 1 else None)

    def append(self, writer: Any, name: str, rows: tuple[int, ...]) -> None:
        """Write a tensor's values."""
        kind = self._kind_of(name, rows)
        values, size = gguf.GGML_QUANT_SIZES[kind]
        left = math.prod(rows) // values * size
        tile = self._tile(kind)
        file = writer.fout[0]
        padding = -left % writer.data_alignment
        while left:
            file.write(memoryview(tile[:left]))
            left -= min(left, tile.nbytes)
        file.write(bytes(padding))

    def _kind_of(self, name: str, rows: tuple[int, ...]) -> Any:
        kinds = gguf.GGMLQuantizationType
        if len(rows) == 1 or "gate_inp" in name:
            return kinds.F32
        # What makes numbers of tokens, and tokens of numbers, is never stored in four bits.
        return kinds.Q8_0 if name.startswith(("token", "output")) else self._kind

    def _tile(self, kind: Any) -> Any:
        if kind not in self._made:
            noise = 0.02 * np.random.default_rng(_SEED).standard_normal(_TILE, dtype=np.float32)
            quantised = kind != gguf.GGMLQuantizationType.F32
            values = gguf.quants.quantize(noise, kind) if quantised else noise
            self._made[kind] = np.frombuffer(values.tobytes(), dtype=np.uint8)
        return self._made[kind]


def _write_header(writer: Any, size: Size, name: str) -> None:
    writer.add_name(f"{name}-sized")
    writer.add_context_length(32_768)
    writer.add_embedding_length(size.width)
    writer.add_block_count(size.layers)
    writer.add_feed_forward_length(size.hidden)
    writer.add_head_count(size.heads)
    writer.add_head_count_kv(size.kv_heads)
    writer.add_key_length(size.head)
    writer.add_value_length(size.head)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    if size.experts:
        writer.add_expert_count(size.experts)
        writer.add_expert_used_count(size.used)
        writer.add_expert_feed_forward_length(size.hidden)
    write_vocabulary(writer, WHOLE)


def _tensors(size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (WHOLE, size.width)
    if not size.tied:
        yield "output.weight", (WHOLE, size.width)
    yield "output_norm.weight", (size.width,)
    for layer in range(size.layers):
        for name, rows in (*_attention(size), *_forward(size)):
            yield f"blk.{layer}.{name}", rows


def _attention(size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    queries, keys = size.heads * size.head, size.kv_heads * size.head
    yield "attn_norm.weight", (size.width,)
    yield "attn_q.weight", (queries, size.width)
    yield "attn_k.weight", (keys, size.width)
    yield "attn_v.weight", (keys, size.width)
    yield "attn_output.weight", (size.width, queries)
    if size.experts:
        yield "attn_q_norm.weight", (size.head,)
        yield "attn_k_norm.weight", (size.head,)
    else:
        yield "attn_q.bias", (queries,)
        yield "attn_k.bias", (keys,)
        yield "attn_v.bias", (keys,)


def _forward(size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    wide, narrow = (size.hidden, size.width), (size.width, size.hidden)
    yield "ffn_norm.weight", (size.width,)
    if size.experts:
        yield "ffn_gate_inp.weight", (size.experts, size.width)
        for name, rows in (("gate", wide), ("up", wide), ("down", narrow)):
            yield f"ffn_{name}_exps.weight", (size.experts, *rows)
    else:
        for name, rows in (("gate", wide), ("up", wide), ("down", narrow)):
            yield f"ffn_{name}.weight", rows


def main() -> None:
    """Write those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("name", nargs="+", help="0.5b, 1.5b, 7b or moe, with -q4_0 or -q8_0")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.name:
        print(write(name, asked.out / f"{name}.gguf"))


if __name__ == "__main__":
    main()
