"""Which images are taken: by what the URL and the header of the file say."""

import contextlib
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.llamacpp.images import MOST_PIXELS, BadImage, bytes_of, size_of, urls_in
from engines.protocol.requests import Message
from tests.support.pixels import chunk, data_url, jpeg_head, png


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height)


def bmp(width: int, height: int) -> bytes:
    return b"BM" + bytes(16) + struct.pack("<ii", width, height)


@pytest.mark.parametrize("image", [png(30, 20), jpeg_head(30, 20), gif(30, 20), bmp(30, -20)])
def test_each_kind_tells_its_size_before_it_is_decoded(image: bytes) -> None:
    assert size_of(image) == (30, 20)
    assert bytes_of(data_url(image), "here") == image


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://localhost/a.png", "unsupported_image_url"),
        ("https://example.com/a.png", "unsupported_image_url"),
        ("file:///etc/passwd", "unsupported_image_url"),
        ("/etc/passwd", "unsupported_image_url"),
        ("data:image/png,abc", "invalid_image"),
        ("data:image/png;base64,a b", "invalid_image"),
        ("data:image/png;base64,YQ", "invalid_image"),
        (data_url(b"no image at all"), "invalid_image"),
        (data_url(png()[:20]), "invalid_image"),
        (data_url(b"\xff\xd8\xff\xd9"), "invalid_image"),
        (data_url(jpeg_head(9, 9)[:-12]), "invalid_image"),
        (data_url(gif(0, 5)), "invalid_image"),
        (data_url(gif(60_000, 60_000)), "invalid_image"),
        (data_url(bmp(-5, 5)), "invalid_image"),
        (data_url(jpeg_head(5_000, 20)), "invalid_image"),
        (data_url(png()[:8] + chunk(b"CgBI", bytes(8)) + png()[8:]), "invalid_image"),
    ],
)
def test_what_is_no_image_or_too_large_is_refused_where_it_stands(url: str, code: str) -> None:
    with pytest.raises(BadImage) as refused:
        bytes_of(url, "messages[0].content[1]")
    assert (refused.value.code, refused.value.param) == (code, "messages[0].content[1]")


@given(st.sampled_from([b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"\xff\xd8\xff"]), st.binary())
def test_whatever_follows_a_signature_is_read_or_refused(signature: bytes, rest: bytes) -> None:
    image = signature + rest
    try:
        size = size_of(image)
    except (struct.error, ValueError, IndexError):
        size = (0, 0)
    read = min(size) > 0 and max(size) <= 100 * min(size) and size[0] * size[1] <= MOST_PIXELS
    with contextlib.nullcontext() if read else pytest.raises(BadImage):
        assert bytes_of(data_url(image), "here") == image


def messages(*urls: Any) -> list[Message]:
    parts = [{"type": "image_url", "image_url": url} for url in urls]
    turn = {"role": "user", "content": [{"type": "text", "text": "a"}, *parts]}
    return msgspec.convert([{"role": "system", "content": "b"}, turn], list[Message])


def test_urls_are_found_with_their_places_in_either_form() -> None:
    found = list(urls_in(messages({"url": "data:one", "detail": "low"}, "data:two")))
    assert found == [
        ("messages[1].content[1]", "data:one"),
        ("messages[1].content[2]", "data:two"),
    ]


@pytest.mark.parametrize("given_url", [None, {}, {"url": 5}, 7])
def test_an_image_without_a_url_is_told_how_one_looks(given_url: Any) -> None:
    with pytest.raises(BadImage, match="base64") as refused:
        list(urls_in(messages(given_url)))
    assert refused.value.param == "messages[1].content[1]"


def test_a_request_may_have_only_so_many_images() -> None:
    with pytest.raises(BadImage, match="More than 32"):
        list(urls_in(messages(*["data:one"] * 33)))
