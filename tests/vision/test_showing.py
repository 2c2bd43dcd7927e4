"""From messages with images to text with marks, and from that text to tokens."""

from typing import Any

import msgspec
import numpy as np

from engines.llamacpp.pictures import Picture, Seen, ids_of
from engines.llamacpp.showing import Marks
from engines.llamacpp.vocabulary import Vocabulary
from engines.protocol.requests import Message


class Letters(Vocabulary):
    """A token for each character; a text that goes on is told apart."""

    def __init__(self) -> None:
        self.continued_texts: list[str] = []

    def tokens(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        assert not add_special
        assert parse_special
        return [*text.encode()]

    def continued(self, text: str, *, parse_special: bool = False) -> list[int]:
        self.continued_texts.append(text)
        return self.tokens(text, add_special=False, parse_special=parse_special)


def seen(name: str, count: int = 3) -> Seen:
    vectors = np.zeros((count, 1), dtype=np.float32)
    places = np.arange(count, dtype=np.int32)[None]
    ids = ids_of(name.encode(), 0, count)
    return {name: ((60,), Picture(ids, vectors, places, count, whole=False), (62,))}


def turn(*parts: Any, role: str = "user") -> Message:
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": part[0]}}
        for part in parts
    ]
    return msgspec.convert({"role": role, "content": content}, Message)


def test_an_image_stands_where_its_part_stood_with_nothing_beside_it() -> None:
    images = {**seen("one"), **seen("two")}
    marks, letters = Marks(images), Letters()
    messages = marks.marked([turn("a", "b", ("one",), "c"), turn(("two",), ("one",))])
    assert all(isinstance(message.content, str) for message in messages)
    text = "|".join(str(message.content) for message in messages)
    one, two = ids_of(b"one", 0, 3), ids_of(b"two", 0, 3)
    expected = [*b"a\nb<", *one, *b">c|<", *two, *b"><", *one, *b">"]
    assert marks.tokens(text, letters) == expected
    assert letters.continued_texts == ["c|", "", ""]


def test_texts_alone_and_models_without_sight_are_left_as_they_were() -> None:
    plain = [turn("a", "b"), msgspec.convert({"role": "user", "content": "c"}, Message)]
    assert list(Marks(seen("one")).marked(plain)) == plain
    shown = [turn("a", ("one",))]
    assert Marks({}).marked(shown) is shown


def test_a_part_of_another_kind_stays_for_the_template_to_refuse() -> None:
    parts = [{"type": "input_audio"}, {"type": "image_url", "image_url": {"url": "one"}}]
    message = msgspec.convert({"role": "user", "content": parts}, Message)
    assert Marks(seen("one")).marked([message]) == [message]


def test_a_client_cannot_write_a_mark() -> None:
    first, second = Marks(seen("one")), Marks(seen("one"))
    (shown,) = second.marked([turn(("one",))])
    letters = Letters()
    assert first.tokens(str(shown.content), letters) == [*str(shown.content).encode()]
