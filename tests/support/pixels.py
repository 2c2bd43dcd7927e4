"""Images made by hand: noise, another for each seed."""

import base64
import struct
import zlib
from typing import Any

import numpy as np


def png(width: int = 56, height: int = 56, seed: int = 0) -> bytes:
    """Return noise of this size as a PNG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_head(width: int, height: int) -> bytes:
    """Return how a JPEG of this size begins: a comment, a table, and the frame."""
    comment = b"\xff\xfe" + struct.pack(">H", 6) + b"text"
    table = b"\xff\xc4" + struct.pack(">H", 3) + b"t"
    frame = b"\xff\xff\xc2" + struct.pack(">HBHH", 11, 8, height, width) + b"\x01\x11\x00"
    return b"\xff\xd8" + comment + b"\xff\x01" + table + frame


def data_url(image: bytes, kind: str = "image/png") -> str:
    """Return an image as clients send it."""
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


def shown(image: bytes, text: str = "what is it?") -> list[dict[str, Any]]:
    """Return the messages of a request with an image between two texts."""
    parts = [
        {"type": "text", "text": "look: "},
        {"type": "image_url", "image_url": {"url": data_url(image)}},
        {"type": "text", "text": text},
    ]
    return [{"role": "user", "content": parts}]


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc
