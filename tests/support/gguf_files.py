"""GGUF files made by hand, a field at a time, right or wrong."""

import struct
from dataclasses import dataclass, field

UINT8, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 0, 5, 6, 7, 8, 9, 10
UINT32 = 4


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def string(key: str, value: str) -> bytes:
    return entry(key, STRING, text(value))


def number(key: str, value: int) -> bytes:
    return entry(key, UINT32, struct.pack("<I", value))


def flag(key: str, value: bool) -> bytes:
    return entry(key, BOOL, struct.pack("<?", value))


def array(key: str, kind: int, count: int, items: bytes) -> bytes:
    return entry(key, ARRAY, struct.pack("<IQ", kind, count) + items)


def tensor(name: str, shape: tuple[int, ...], offset: int) -> bytes:
    sizes = struct.pack(f"<{len(shape)}Q", *shape)
    return text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", 0, offset)


def patched(file: bytes, key: str, value: bytes) -> bytes:
    """Return a file in which a key has another value that takes as many bytes."""
    at = file.index(text(key)) + len(text(key)) + 4
    return file[:at] + value + file[at + len(value) :]


@dataclass
class GgufFile:
    """The parts of a file; `counts` overrides what the header says of tensors and keys."""

    fields: list[bytes] = field(
        default_factory=lambda: [
            string("general.architecture", "qwen2"),
            string("general.name", "toy"),
            number("qwen2.context_length", 2048),
            flag("weighbridge.embeddings", True),
            array("tokenizer.ggml.tokens", STRING, 3, text("a") + text("") + text("<|end|>")),
            array("tokenizer.ggml.token_type", INT32, 3, struct.pack("<3i", 1, 1, 3)),
            string("tokenizer.chat_template", "{{ messages }}"),
        ]
    )
    tensors: list[bytes] = field(
        default_factory=lambda: [tensor("a", (4, 3), 0), tensor("b", (5,), 64)]
    )
    magic: bytes = b"GGUF"
    version: int = 3
    counts: tuple[int, int] | None = None
    data: bytes = bytes(96)

    def header(self) -> bytes:
        counts = self.counts or (len(self.tensors), len(self.fields))
        start = self.magic + struct.pack("<IQQ", self.version, *counts)
        return start + b"".join(self.fields) + b"".join(self.tensors)

    def bytes(self) -> "bytes":
        header = self.header()
        return header + bytes(-len(header) % 32) + self.data
