"""Tiny random models with a state instead of cells: Mamba, and LFM2, which has both.

    python -m tools.families.stateful_toys --out FOLDER

A sequence of theirs cannot lose its last tokens, or begin with cells of another.

Owns: which tensors and keys they have.
Must not: write files (`toys`).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from tools.families.toy_files import write_file
from tools.families.toy_tensors import Shape, T, weight
from tools.families.toys import Toy
from tools.families.vocabularies import size_of

_INNER, _STATE, _RANK, _KERNEL = 128, 8, 4, 4
_REACH = 3

MAMBA = Toy(
    "mamba",
    "mamba",
    "qwen2",
    keys={
        "ssm.inner_size": _INNER,
        "ssm.state_size": _STATE,
        "ssm.time_step_rank": _RANK,
        "ssm.conv_kernel": _KERNEL,
    },
    layers=3,
)
# One layer of three looks at what was; the others know its last tokens.
LFM2 = Toy(
    "lfm2",
    "lfm2",
    "qwen2",
    keys={"attention.head_count_kv": [0, 2, 0], "shortconv.l_cache": _REACH},
    layers=3,
)
STATEFUL_TOYS = (MAMBA, LFM2)


def write_stateful_toy(toy: Toy, path: Path, seed: int = 0) -> Path:
    """Write a toy as GGUF; the same toy and seed are always the same file. Return the path."""
    return write_file(toy, dict(_mamba(toy) if toy is MAMBA else _lfm2(toy)), path, seed)


def _mamba(toy: Toy) -> Iterator[tuple[str, Shape]]:
    words = (size_of(toy.pre), toy.width)
    yield weight(T.TOKEN_EMBD), words
    yield weight(T.OUTPUT), words
    yield weight(T.OUTPUT_NORM), (toy.width,)
    for layer in range(toy.layers):
        yield weight(T.ATTN_NORM, layer), (toy.width,)
        yield weight(T.SSM_IN, layer), (2 * _INNER, toy.width)
        yield weight(T.SSM_CONV1D, layer), (_INNER, _KERNEL)
        yield f"blk.{layer}.ssm_conv1d.bias", (_INNER,)
        yield weight(T.SSM_X, layer), (_RANK + 2 * _STATE, _INNER)
        yield weight(T.SSM_DT, layer), (_INNER, _RANK)
        yield f"blk.{layer}.ssm_dt.bias", (_INNER,)
        yield f"blk.{layer}.ssm_a", (_INNER, _STATE)
        yield f"blk.{layer}.ssm_d", (_INNER,)
        yield weight(T.SSM_OUT, layer), (toy.width, _INNER)


def _lfm2(toy: Toy) -> Iterator[tuple[str, Shape]]:
    square = (toy.width, toy.width)
    yield weight(T.TOKEN_EMBD), (size_of(toy.pre), toy.width)
    yield weight(T.OUTPUT), (size_of(toy.pre), toy.width)
    yield "token_embd_norm.weight", (toy.width,)
    for layer in range(toy.layers):
        yield weight(T.ATTN_NORM, layer), (toy.width,)
        yield weight(T.FFN_NORM, layer), (toy.width,)
        yield weight(T.FFN_GATE, layer), (toy.hidden, toy.width)
        yield weight(T.FFN_UP, layer), (toy.hidden, toy.width)
        yield weight(T.FFN_DOWN, layer), (toy.width, toy.hidden)
        if layer % 2:
            yield weight(T.ATTN_Q_NORM, layer), (toy.head,)
            yield weight(T.ATTN_K_NORM, layer), (toy.head,)
            yield weight(T.ATTN_Q, layer), square
            yield weight(T.ATTN_K, layer), (toy.kv_heads * toy.head, toy.width)
            yield weight(T.ATTN_V, layer), (toy.kv_heads * toy.head, toy.width)
            yield weight(T.ATTN_OUT, layer), square
        else:
            yield f"blk.{layer}.shortconv.conv.weight", (toy.width, _REACH)
            yield f"blk.{layer}.shortconv.in_proj.weight", (3 * toy.width, toy.width)
            yield f"blk.{layer}.shortconv.out_proj.weight", square


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description="Write tiny random models that have a state.")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for toy in STATEFUL_TOYS:
        print(write_stateful_toy(toy, asked.out / f"{toy.name}.gguf"))


if __name__ == "__main__":
    main()
