"""Tiny random projectors (`mmproj`) in the real layout of Qwen2.5-VL and Gemma 3.

    python -m tools.families.toy_sights --out FOLDER

Each is for the toy of its architecture: what it makes of an image is noise, another noise for
another image.

Owns: which tensors and keys a projector has.
Must not: write the models themselves (`toys`).
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from tools.families.toy_tensors import Shape

_PATCH = 14
_LAYERS = 2


@dataclass(frozen=True, slots=True)
class ToySight:
    """The shape of one projector, and the toy whose `out` values a token has."""

    toy: str
    kind: str
    width: int = 32
    hidden: int = 48
    out: int = 64
    side: int = 112
    heads: int = 2


TOY_SIGHTS = (ToySight("qwen2vl", "qwen2.5vl_merger"), ToySight("gemma3", "gemma3"))


def write_sight(sight: ToySight, path: Path) -> Path:
    """Write a projector as GGUF; the same one is always the same file. Return the path."""
    writer = gguf.GGUFWriter(str(path), "clip")
    writer.add_name(f"toy-sight-{sight.toy}")
    _write_keys(writer, sight)
    chance = np.random.default_rng(7)
    for name, shape in _tensors(sight).items():
        spread = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
        middle = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0
        values = middle + spread * chance.standard_normal(shape)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_keys(writer: gguf.GGUFWriter, sight: ToySight) -> None:
    numbers = {
        "image_size": sight.side,
        "patch_size": _PATCH,
        "embedding_length": sight.width,
        "feed_forward_length": sight.hidden,
        "block_count": _LAYERS,
        "projection_dim": sight.out,
        "attention.head_count": sight.heads,
    }
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", sight.kind)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    if sight.kind == "gemma3":
        writer.add_bool("clip.use_gelu", True)
    else:
        writer.add_bool("clip.use_silu", True)
        numbers["n_wa_pattern"] = 2
        numbers["window_size"] = 112
    for name, value in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", value)


def _tensors(sight: ToySight) -> Mapping[str, Shape]:
    width, hidden = sight.width, sight.hidden
    found: dict[str, Shape] = {"v.patch_embd.weight": (width, 3, _PATCH, _PATCH)}
    found |= _norm(sight, "v.post_ln", width)
    for layer in range(_LAYERS):
        block = f"v.blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            found |= {f"{block}{name}.weight": (width, width), f"{block}{name}.bias": (width,)}
        found |= _norm(sight, f"{block}ln1", width) | _norm(sight, f"{block}ln2", width)
        found |= {f"{block}ffn_up.weight": (hidden, width), f"{block}ffn_up.bias": (hidden,)}
        found |= {f"{block}ffn_down.weight": (width, hidden), f"{block}ffn_down.bias": (width,)}
        if sight.kind != "gemma3":
            found |= {f"{block}ffn_gate.weight": (hidden, width)}
            found |= {f"{block}ffn_gate.bias": (hidden,)}
    return found | (_gemma(sight) if sight.kind == "gemma3" else _qwen(sight))


def _qwen(sight: ToySight) -> dict[str, Shape]:
    four = 4 * sight.width  # two by two patches become one token
    return {
        "v.patch_embd.weight.1": (sight.width, 3, _PATCH, _PATCH),
        "mm.0.weight": (four, four),
        "mm.0.bias": (four,),
        "mm.2.weight": (sight.out, four),
        "mm.2.bias": (sight.out,),
    }


def _gemma(sight: ToySight) -> dict[str, Shape]:
    patches = (sight.side // _PATCH) ** 2
    return {
        "v.patch_embd.bias": (sight.width,),
        "v.position_embd.weight": (patches, sight.width),
        "mm.input_projection.weight": (sight.width, sight.out),
        "mm.soft_emb_norm.weight": (sight.width,),
    }


def _norm(sight: ToySight, name: str, width: int) -> dict[str, Shape]:
    found: dict[str, Shape] = {f"{name}.weight": (width,)}
    if sight.kind == "gemma3":
        found[f"{name}.bias"] = (width,)
    return found


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description="Write tiny random projectors.")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for sight in TOY_SIGHTS:
        print(write_sight(sight, folder / f"mmproj-{sight.toy}.gguf"))


if __name__ == "__main__":
    main()
