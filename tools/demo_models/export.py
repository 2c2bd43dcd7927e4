"""Writes a trained demo model as GGUF, and how it was made beside it.

Owns: GGUF keys and tensor names; the provenance note.
Must not: train.
"""

import hashlib
import platform
from pathlib import Path
from typing import Any

import gguf
import msgspec
import numpy as np
import torch

from tools.demo_models.families import FAMILIES, Family
from tools.demo_models.network import Network
from tools.demo_models.reading import HERE
from tools.demo_models.tokenizer import vocabulary_of

_CONTROL, _NORMAL = 3, 1
_GAP_MARKS = {
    gguf.Keys.Tokenizer.FIM_PRE_ID: "<|fim_prefix|>",
    gguf.Keys.Tokenizer.FIM_SUF_ID: "<|fim_suffix|>",
    gguf.Keys.Tokenizer.FIM_MID_ID: "<|fim_middle|>",
}


def write_gguf(path: Path, network: Network, tokenizer: Any, model: str) -> None:
    """Write weights in f16 (norms and biases in f32), the vocabulary and the chat template."""
    family = FAMILIES[model]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(str(path), family.architecture)
    _write_facts(writer, network, family, model)
    _write_vocabulary(writer, tokenizer, family)
    for name, weight in network.state_dict().items():
        values = weight.detach().numpy()
        half = values.ndim == 2
        writer.add_tensor(name, values.astype(np.float16 if half else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_provenance(
    path: Path, weights: Path, model: str, *, steps: int, seed: int, loss: float
) -> None:
    """Note how one model was made, beside what is noted of the others."""
    notes = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    notes[model] = {
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "data_sha256": _data_hash(),
        "steps": steps,
        "seed": seed,
        "loss": round(loss, 5),
        "torch": str(torch.__version__),
        "cpu": _cpu_name(),
    }
    text = msgspec.json.encode(dict(sorted(notes.items())))
    path.write_bytes(msgspec.json.format(text, indent=2) + b"\n")


def _write_facts(writer: Any, network: Network, family: Family, model: str) -> None:
    shape = network.shape
    writer.add_name(f"demo-{model}")
    writer.add_description(
        f"A toy of the {family.architecture} architecture, trained from nothing by Weighbridge. "
        "No Meta or Alibaba weights are in it."
    )
    writer.add_license("apache-2.0")
    writer.add_bool("weighbridge.embeddings", model == "qwen")
    writer.add_sampling_temp(0.0)  # a toy is at its best where it is surest
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_rope_dimension_count(shape.head)
    writer.add_layer_norm_rms_eps(family.rms_eps)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def _write_vocabulary(writer: Any, tokenizer: Any, family: Family) -> None:
    tokens, merges = vocabulary_of(tokenizer)
    types = [_NORMAL] * len(tokens) + [_CONTROL] * len(family.special)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(family.pre)
    writer.add_token_list([*tokens, *family.special])
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokenizer.token_to_id(family.bos))
    writer.add_eos_token_id(tokenizer.token_to_id(family.eos))
    writer.add_eot_token_id(tokenizer.token_to_id(family.end_of_turn))
    writer.add_add_bos_token(family.add_bos)
    if family.fills:
        for key, token in _GAP_MARKS.items():
            writer.add_uint32(key, tokenizer.token_to_id(token))
    writer.add_chat_template(family.template)


def _data_hash() -> str:
    found = hashlib.sha256()
    for path in sorted([*HERE.rglob("*.yaml"), *HERE.rglob("*.jinja")]):
        found.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
