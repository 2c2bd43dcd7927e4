"""Writes models of the shape of Qwen2.5-0.5B with random weights, to measure engines on.

    .venv/bin/python -m benchmarks.shapes --out FOLDER

The vocabulary is Qwen's own, whole (151,936 tokens) or its first 24,576: it lies in the sdist of
llama-cpp-python, and is never committed. What such a model writes is noise, at the speed of sense.

Owns: the files, and texts of a wanted number of tokens for them.
Must not: start anything.
"""

import argparse
import os
import platform
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tools.families.fetch_sdist import main as fetch_vocabularies
from tools.families.fetch_sdist import place

LAYERS, WIDTH, HIDDEN, HEADS, KV_HEADS, HEAD = 24, 896, 4_864, 14, 2, 64
CONTEXT = 32_768
WHOLE, SMALL = 151_936, 24_576
_CONTROL = 3
_BYTES = 256
_SPREAD = 0.02
_SEED = 1


@dataclass(frozen=True, slots=True)
class Shape:
    """One model: how many tokens it knows and how its matrices are stored."""

    words: int
    quantisation: str

    @property
    def name(self) -> str:
        """Its name in tables and files."""
        return f"{self.words // 1_000}k-{self.quantisation}"


SHAPES = tuple(Shape(words, kind) for words in (SMALL, WHOLE) for kind in ("q4_0", "q8_0"))


@cache
def _vocabulary() -> dict[str, list[Any]]:
    """Return Qwen's tokens, kinds and merges as its GGUF has them."""
    fetch_vocabularies()
    reader = gguf.GGUFReader(place(os.environ, platform.system()) / "ggml-vocab-qwen2.gguf")
    names = ("tokens", "token_type", "merges")
    return {name: reader.fields[f"tokenizer.ggml.{name}"].contents() for name in names}


def tokens_of(words: int) -> list[str]:
    """Return the tokens of a vocabulary of `words`; the last of a small one is its end."""
    tokens = _vocabulary()["tokens"]
    return list(tokens) if words == WHOLE else [*tokens[: words - 1], "<|endoftext|>"]


class Writer:
    """Makes texts of a wanted number of tokens: each word is one, and no two texts begin alike."""

    def __init__(self, words: int, seed: int) -> None:
        spaced = (token[1:] for token in tokens_of(words)[:SMALL] if token.startswith("\u0120"))
        self._words = [word for word in spaced if word.isascii() and word.isalpha()]
        self._chance = random.Random(seed)  # noqa: S311 - the same texts in every run

    def text(self, tokens: int) -> str:
        """Return a text of about so many tokens."""
        return " " + " ".join(self._chance.choices(self._words, k=tokens))


def write(shape: Shape, path: Path) -> Path:
    """Write a model, unless it is there; return its path."""
    if path.exists():
        return path
    half = path.with_suffix(".part")
    writer = gguf.GGUFWriter(str(half), "qwen2")
    _write_header(writer, shape)
    kind = gguf.GGMLQuantizationType[shape.quantisation.upper()]
    chance = np.random.default_rng(_SEED)
    for name, rows in _tensors(shape.words):
        noise = chance.standard_normal(rows, dtype=np.float32)
        if len(rows) == 1:
            writer.add_tensor(name, 1 + 0.1 * noise if "norm" in name else _SPREAD * noise)
            continue
        # The table of tokens is the last matrix too, which is never stored in four bits.
        stored = gguf.GGMLQuantizationType.Q8_0 if name.startswith("token") else kind
        values = gguf.quants.quantize(_SPREAD * noise, stored)
        writer.add_tensor(name, values, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return half.replace(path)


def _write_header(writer: Any, shape: Shape) -> None:
    writer.add_name(f"qwen2.5-0.5b-shaped-{shape.name}")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    write_vocabulary(writer, shape.words)


def write_vocabulary(writer: Any, words: int) -> None:
    """Write the tokens, kinds and merges of a vocabulary."""
    known, tokens = _vocabulary(), tokens_of(words)
    kinds, merges = known["token_type"], known["merges"]
    if words != WHOLE:
        kinds = [*kinds[: words - 1], _CONTROL]
        merges = merges[: words - 1 - _BYTES]  # the n-th merge makes the n-th token
    end = tokens.index("<|endoftext|>")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)


def _tensors(words: int) -> list[tuple[str, tuple[int, ...]]]:
    found: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (words, WIDTH)),
        ("output_norm.weight", (WIDTH,)),
    ]
    block = (
        ("attn_norm.weight", (WIDTH,)),
        ("attn_q.weight", (HEADS * HEAD, WIDTH)),
        ("attn_q.bias", (HEADS * HEAD,)),
        ("attn_k.weight", (KV_HEADS * HEAD, WIDTH)),
        ("attn_k.bias", (KV_HEADS * HEAD,)),
        ("attn_v.weight", (KV_HEADS * HEAD, WIDTH)),
        ("attn_v.bias", (KV_HEADS * HEAD,)),
        ("attn_output.weight", (WIDTH, HEADS * HEAD)),
        ("ffn_norm.weight", (WIDTH,)),
        ("ffn_gate.weight", (HIDDEN, WIDTH)),
        ("ffn_up.weight", (HIDDEN, WIDTH)),
        ("ffn_down.weight", (WIDTH, HIDDEN)),
    )
    for layer in range(LAYERS):
        found += [(f"blk.{layer}.{name}", rows) for name, rows in block]
    return found


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for shape in SHAPES:
        print(write(shape, asked.out / f"{shape.name}.gguf"))


if __name__ == "__main__":
    main()
