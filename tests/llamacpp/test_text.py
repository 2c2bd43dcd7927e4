"""Text of tokens: the same however the bytes are cut, never half a character, never a stop."""

from hypothesis import example, given
from hypothesis import strategies as st

from engines.llamacpp.text import Offsets, TextStream

CUTS = st.lists(st.integers(1, 7), min_size=1, max_size=40)
ABC = st.text("abc", max_size=40)
STOPS = st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=4)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    found: list[bytes] = []
    while data:
        size = sizes[len(found) % len(sizes)]
        found.append(data[:size])
        data = data[size:]
    return found


def streamed(data: bytes, sizes: list[int], stops: tuple[str, ...] = ()) -> list[str]:
    """Return what is shown at each step, until the stream has stopped or ended."""
    stream = TextStream(stops)
    shown: list[str] = []
    for piece in pieces(data, sizes):
        shown.append(stream.feed(piece))
        if stream.has_stopped():
            return shown
    return [*shown, stream.finish()]


def until_first_stop(text: str, stops: list[str]) -> str:
    """Return what stands before the stop string that is complete first."""
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    return text[: min(ends)[1]] if ends else text


@given(st.binary(max_size=60), CUTS)
@example("€🙂".encode()[:-1], [1])
def test_any_bytes_cut_anywhere_give_the_same_text(data: bytes, sizes: list[int]) -> None:
    assert "".join(streamed(data, sizes)) == data.decode("utf-8", "replace")


@given(st.text(max_size=30), CUTS)
def test_half_a_character_is_never_shown(text: str, sizes: list[int]) -> None:
    shown = streamed(text.encode("utf-8", "replace"), sizes)
    assert all("\ufffd" not in piece for piece in shown if "\ufffd" not in text)


@given(ABC, CUTS, STOPS)
@example("xab", [1], ["ab", "abc"])
@example("abc", [3], ["abc", "b"])
@example("aabab", [2], ["aba", "ab"])
def test_what_is_shown_is_the_text_up_to_the_first_stop(
    text: str, sizes: list[int], stops: list[str]
) -> None:
    shown = "".join(streamed(text.encode(), sizes, tuple(stops)))
    assert shown == until_first_stop(text, stops)
    assert not any(stop in shown for stop in stops)


@given(st.text(max_size=30), CUTS, st.lists(st.text(min_size=1, max_size=3), max_size=3))
def test_stops_of_any_characters_are_found_whatever_the_cut(
    text: str, sizes: list[int], stops: list[str]
) -> None:
    data = text.encode("utf-8", "replace")
    seen = data.decode()
    shown = "".join(streamed(data, sizes, tuple(stops)))
    assert shown == until_first_stop(seen, stops)


def test_what_may_become_a_stop_is_held_back_and_then_shown() -> None:
    stream = TextStream(["STOP"])
    assert stream.feed(b"say ST") == "say "
    assert stream.feed(b"AR") == "STAR"
    assert stream.feed(b"ST") == ""
    assert stream.finish() == "ST"
    assert not stream.has_stopped()


def test_a_stop_over_three_tokens_is_never_leaked() -> None:
    stream = TextStream(["<|end|>"])
    assert [stream.feed(piece) for piece in (b"a<", b"|end", b"|>b")] == ["a", "", ""]
    assert stream.has_stopped()
    assert stream.feed(b"more") == ""
    assert stream.finish() == ""


def test_of_a_stop_and_its_prefix_the_shorter_ends_the_text() -> None:
    assert "".join(streamed(b"xabc", [4], ("abc", "ab"))) == "x"
    assert "".join(streamed(b"xab", [1], ("abc", "ab"))) == "x"


def test_a_character_that_never_ends_is_shown_as_replaced() -> None:
    stream = TextStream()
    assert stream.feed("é".encode()[:1]) == ""
    assert stream.finish() == "\ufffd"


def test_tokens_begin_behind_the_characters_that_are_whole() -> None:
    offsets = Offsets(3)
    pieces = [b"ab", "é".encode()[:1], "é".encode()[1:], b"", b"c", b"\xff", b"d"]
    assert [offsets.feed(piece) for piece in pieces] == [3, 5, 5, 6, 6, 7, 8]
