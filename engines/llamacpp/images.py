"""Images as clients send them: data URLs whose bytes are PNG, JPEG, GIF or BMP.

Owns: what is taken, how large an image may be once it is decoded, and the refusals.
Must not: decode an image (`sight` has llama.cpp do that), or fetch one: a URL that a client names
could be any server that this machine reaches.
"""

import base64
import binascii
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from engines.protocol.errors import InvalidRequest
from engines.protocol.requests import Message

# 100 MB of pixels, which is what a picture of 8K takes.
MOST_PIXELS = 34_000_000
MOST_IMAGES = 32
# Beyond this, what is made of an image has no height or no width left.
_LONGEST = 100
_PNG = b"\x89PNG\r\n\x1a\n"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})


class BadImage(InvalidRequest):
    """An image that cannot be read, or is too large: 400."""

    default_code = "invalid_image"


def urls_in(messages: Sequence[Message]) -> Iterator[tuple[str, str]]:
    """Yield where each image of a conversation stands, and its URL.

    Raises:
        BadImage: a part has no URL, or they are too many.
    """
    found = 0
    for index, message in enumerate(messages):
        for at, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if part.type == "image_url":
                param = f"messages[{index}].content[{at}]"
                found += 1
                if found > MOST_IMAGES:
                    raise BadImage(f"More than {MOST_IMAGES} images in one request.", param=param)
                yield param, url_of(part.image_url, param)


def url_of(given: Any, param: str) -> str:
    """Return the URL of an `image_url` part: `{"url": ...}`, or the text itself.

    Raises:
        BadImage: it has none.
    """
    url = given.get("url") if isinstance(given, dict) else given
    if not isinstance(url, str):
        raise BadImage(
            'An image is {"image_url": {"url": "data:image/png;base64,..."}}.', param=param
        )
    return url


def bytes_of(url: str, param: str) -> bytes:
    """Return the image of a data URL, small enough to be decoded.

    Raises:
        BadImage: it is no data URL, no image that can be read, or too large.
    """
    scheme, _, rest = url.partition(":")
    if scheme.lower() != "data":
        raise BadImage(
            "This engine does not fetch images; send 'data:image/png;base64,...'.",
            param=param,
            code="unsupported_image_url",
        )
    kind, _, data = rest.partition(",")
    if not kind.lower().endswith(";base64"):
        raise BadImage("The data URL is not base64.", param=param)
    try:
        image = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadImage("The data URL is not base64.", param=param) from None
    check_size(image, param)
    return image


def check_size(image: bytes, param: str) -> None:
    """Refuse an image that would take too much memory, by what its header says.

    Raises:
        BadImage: it is of no kind that can be read, or too large, or too long.
    """
    try:
        width, height = size_of(image)
    except (struct.error, ValueError, IndexError):
        raise BadImage(
            "This image cannot be read; send a PNG, JPEG, GIF or BMP.", param=param
        ) from None
    if not width or not height or width * height > MOST_PIXELS:
        raise BadImage(
            f"The image has {width} x {height} pixels; {MOST_PIXELS:,} is the limit.", param=param
        )
    if max(width, height) > _LONGEST * min(width, height):
        raise BadImage(
            f"The image has {width} x {height} pixels: one side is more than {_LONGEST} times the "
            "other.",
            param=param,
        )


def size_of(image: bytes) -> tuple[int, int]:
    """Return width and height as the header says.

    Raises:
        ValueError, struct.error, IndexError: it is none of the kinds that are read.
    """
    if image.startswith(_PNG):
        if image[12:16] != b"IHDR":  # Apple's variety has another chunk before it
            raise ValueError("no header where it must be")
        width, height = struct.unpack_from(">II", image, 16)
        return width, height
    if image.startswith((b"GIF87a", b"GIF89a")):
        width, height = struct.unpack_from("<HH", image, 6)
        return width, height
    if image.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", image, 18)
        return width, abs(height)
    if image.startswith(b"\xff\xd8"):
        return _jpeg_size(image)
    raise ValueError("no image")


def _jpeg_size(image: bytes) -> tuple[int, int]:
    at = 2
    while image[at] == 0xFF:
        marker = image[at + 1]
        if marker == 0xFF:  # a byte that only fills
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", image, at + 5)
            return width, height
        else:
            at += 2 + struct.unpack_from(">H", image, at + 2)[0]
    raise ValueError("no frame")
