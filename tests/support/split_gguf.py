"""A GGUF file in parts, as llama.cpp splits one."""

import struct
from pathlib import Path

from gguf import GGUFReader, ReaderTensor

from tests.support.gguf_files import entry

_ALIGNMENT = 32
_HEAD = 24
_UINT16, _INT32 = 2, 5


def split(file: Path, stem: str, parts: int) -> dict[str, bytes]:
    """Return the parts by their names; the first one has all keys."""
    reader, whole = GGUFReader(file), file.read_bytes()
    tensors = list(reader.tensors)
    keys = whole[_HEAD : tensors[0].field.offset]
    (count,) = struct.unpack("<Q", whole[16:_HEAD])
    each = -(-len(tensors) // parts)
    found = {}
    for number in range(parts):
        own = _keys(number, parts, len(tensors))
        kept, fields = (keys, count) if number == 0 else (b"", 0)
        chosen = tensors[number * each : (number + 1) * each]
        name = f"{stem}-{number + 1:05}-of-{parts:05}.gguf"
        found[name] = _part(kept + b"".join(own), fields + len(own), chosen, whole)
    return found


def _keys(number: int, parts: int, tensors: int) -> list[bytes]:
    return [
        entry("split.no", _UINT16, struct.pack("<H", number)),
        entry("split.count", _UINT16, struct.pack("<H", parts)),
        entry("split.tensors.count", _INT32, struct.pack("<i", tensors)),
    ]


def _part(keys: bytes, count: int, tensors: list[ReaderTensor], whole: bytes) -> bytes:
    infos, data = b"", b""
    for tensor in tensors:
        name = str(tensor.name).encode()
        shape = [int(size) for size in tensor.shape]
        infos += struct.pack("<Q", len(name)) + name + struct.pack("<I", len(shape))
        infos += struct.pack(f"<{len(shape)}Q", *shape)
        infos += struct.pack("<IQ", int(tensor.tensor_type), len(data))
        start = int(tensor.data_offset)
        data += whole[start : start + int(tensor.n_bytes)]
        data += bytes(-len(data) % _ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), count) + keys + infos
    return head + bytes(-len(head) % _ALIGNMENT) + data
