"""LoRA adapters of noise, for any base model: small files in the layout that llama.cpp reads."""

from pathlib import Path

import gguf
import numpy as np

_RANK = 4
_ADAPTED = ("attn_q.weight", "attn_v.weight", "ffn_down.weight")


def write_adapter(
    path: Path, base: Path, *, seed: int, architecture: str | None = None, invocation: bool = False
) -> Path:
    """Write an adapter that changes what the base says; `invocation` makes it an activated one."""
    reader = gguf.GGUFReader(base)
    own = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(path, architecture or own)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2 * _RANK)
    if invocation:
        key, kind = gguf.Keys.Adapter.ALORA_INVOCATION_TOKENS, gguf.GGUFValueType
        writer.add_key_value(key, [1, 2], kind.ARRAY, sub_type=kind.UINT32)
    noise = np.random.default_rng(seed)
    for tensor in reader.tensors:
        if tensor.name.endswith(_ADAPTED):
            width, height = map(int, tensor.shape)
            down = noise.normal(0, width**-0.5, (_RANK, width))
            up = noise.normal(0, 0.3, (height, _RANK))
            writer.add_tensor(f"{tensor.name}.lora_a", down.astype(np.float32))
            writer.add_tensor(f"{tensor.name}.lora_b", up.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
